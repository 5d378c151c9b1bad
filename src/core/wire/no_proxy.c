#include "core/wire/no_proxy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"

enum { HOST_MAX = 264, NO_PORT = 0, BAD_PORT = -1 };

struct address {
    int family; /* AF_INET, AF_INET6, or 0: a name */
    unsigned char bytes[16];
};

/* A host with an address or a name, and a port. */
struct host {
    char name[HOST_MAX];
    struct address address;
    int port;
};

/* strtol takes blanks and a sign: hence the look at the first character. */
static int read_number(const char *text, int maximum)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (!cce_is_digit(*text) || *end != '\0' || number > maximum)
        return -1;
    return (int)number;
}

/* An IPv4 address in IPv6's clothes is the IPv4 address. */
static void read_address(const char *text, struct address *address)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0,    0,
                                             0, 0, 0, 0, 0xff, 0xff};

    memset(address, 0, sizeof *address);
    if (inet_pton(AF_INET, text, address->bytes) == 1) {
        address->family = AF_INET;
    } else if (inet_pton(AF_INET6, text, address->bytes) == 1) {
        address->family = AF_INET6;
        if (memcmp(address->bytes, mapped, sizeof mapped) == 0) {
            memmove(address->bytes, address->bytes + 12, 4);
            memset(address->bytes + 4, 0, 12);
            address->family = AF_INET;
        }
    }
}

/* host, host:port, [address], [address]:port or an IPv6 address without
 * brackets. False when it is none of them. */
static bool read_host(const char *text, size_t length, int port,
                      struct host *host)
{
    char *name = host->name, *colon;

    if (length >= HOST_MAX)
        return false;
    memcpy(name, text, length);
    name[length] = '\0';
    host->port = port;
    colon = strrchr(name, ':');
    if (name[0] == '[') {
        char *bracket = strchr(name, ']');

        if (bracket == NULL || (bracket[1] != '\0' && bracket[1] != ':'))
            return false;
        colon = bracket[1] == ':' ? bracket + 1 : NULL;
        *bracket = '\0';
        memmove(name, name + 1, (size_t)(bracket - name));
    } else if (strchr(name, ':') != colon) {
        colon = NULL;
    }
    if (colon != NULL) {
        host->port = read_number(colon + 1, 65535);
        *colon = '\0';
    }
    length = strlen(name);
    if (length > 0 && name[length - 1] == '.')
        name[length - 1] = '\0';
    read_address(name, &host->address);
    return name[0] != '\0' && host->port != BAD_PORT;
}

/* `block` is a copy, which is cut at its slash. */
static bool in_block(char *block, const struct address *address)
{
    char *slash = strchr(block, '/');
    struct address network;
    int bits, whole;

    *slash = '\0';
    read_address(block, &network);
    if (network.family == 0 || network.family != address->family)
        return false;
    bits = read_number(slash + 1, network.family == AF_INET ? 32 : 128);
    if (bits < 0)
        return false;
    whole = bits / 8;
    return memcmp(network.bytes, address->bytes, (size_t)whole) == 0 &&
           (bits % 8 == 0 ||
            (network.bytes[whole] ^ address->bytes[whole]) >> (8 - bits % 8) ==
                0);
}

/* The name itself, or one below it. */
static bool is_below(const char *name, const char *domain)
{
    size_t length = strlen(name), tail = strlen(domain);

    if (length < tail ||
        !cce_bytes_same_letters(cce_bytes_of(name + length - tail),
                                cce_bytes_of(domain)))
        return false;
    return length == tail || name[length - tail - 1] == '.';
}

static bool entry_matches(const char *text, size_t length,
                          const struct host *server)
{
    char block[HOST_MAX];
    struct host host = {"", {0, {0}}, NO_PORT};

    if (length == 1 && text[0] == '*')
        return true;
    if (memchr(text, '/', length) != NULL) {
        if (length >= sizeof block)
            return false;
        memcpy(block, text, length);
        block[length] = '\0';
        return in_block(block, &server->address);
    }
    if (length > 1 && text[0] == '*' && text[1] == '.') {
        text++;
        length--;
    }
    if (length > 0 && text[0] == '.') {
        text++;
        length--;
    }
    /* Addresses are compared by their bytes, since one may be written in many
     * ways; an address and a name are never the same. */
    if (!read_host(text, length, NO_PORT, &host) ||
        (host.port != NO_PORT && host.port != server->port))
        return false;
    if (host.address.family != 0 || server->address.family != 0)
        return memcmp(&host.address, &server->address, sizeof host.address) ==
               0;
    return is_below(server->name, host.name);
}

bool cce_no_proxy_matches(const char *list, const char *url)
{
    static const char separators[] = ", \t\r\n";
    struct host server = {"", {0, {0}}, NO_PORT};
    bool tls = cce_bytes_begins(cce_bytes_of(url), cce_bytes_of("https:"));
    const char *start = strstr(url, "://");

    if (list == NULL || start == NULL)
        return false;
    start += 3;
    if (!read_host(start, strcspn(start, "/?#"), tls ? 443 : 80, &server))
        return false;
    while (*list != '\0') {
        size_t length = strcspn(list, separators);

        if (length > 0 && entry_matches(list, length, &server))
            return true;
        list += length;
        list += strspn(list, separators);
    }
    return false;
}

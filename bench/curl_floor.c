/*
 * curl_floor: the least that a request costs with libcurl, from one thread.
 *
 * curl_multi_socket_action over epoll, easy handles that are used again, one
 * list of headers for all requests: floor.run{url=, ca_file=, body=, headers=,
 * count=, concurrency=} sends the same POST `count` times, and returns how
 * many were not answered by 200 and the latencies in seconds. It signs,
 * checks, guards and wipes nothing. bench/rows compare it with the client.
 */
#include <curl/curl.h>
#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#endif

enum { EVENTS_A_STEP = 64 };

struct slot {
    CURL *easy;
    double started;
};

struct floor {
    CURLM *multi;
    int epoll_fd;
    long timeout_ms; /* -1: none */
    struct curl_slist *headers;
    struct slot *slots;
    double *latencies;
    long count, sent, ended, failed;
};

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *context,
                     void *known)
{
    struct floor *floor = context;
    struct epoll_event event = {.events = 0, .data.fd = fd};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(floor->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    event.events = (what != CURL_POLL_OUT ? EPOLLIN : 0u) |
                   (what != CURL_POLL_IN ? EPOLLOUT : 0u);
    epoll_ctl(floor->epoll_fd, known != NULL ? EPOLL_CTL_MOD : EPOLL_CTL_ADD,
              fd, &event);
    curl_multi_assign(floor->multi, fd, floor);
    return 0;
}

static int on_timer(CURLM *multi, long timeout_ms, void *context)
{
    (void)multi;
    ((struct floor *)context)->timeout_ms = timeout_ms;
    return 0;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    (void)bytes;
    (void)context;
    return size * count;
}

static const char *field(lua_State *L, const char *name)
{
    const char *text;

    lua_getfield(L, 1, name);
    text = luaL_checkstring(L, -1);
    lua_pop(L, 1); /* the table keeps it */
    return text;
}

static long number(lua_State *L, const char *name)
{
    long value;

    lua_getfield(L, 1, name);
    value = (long)luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return value;
}

static CURL *new_handle(lua_State *L, struct floor *floor, struct slot *slot)
{
    CURL *easy = curl_easy_init();

    curl_easy_setopt(easy, CURLOPT_URL, field(L, "url"));
    curl_easy_setopt(easy, CURLOPT_CAINFO, field(L, "ca_file"));
    curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, field(L, "body"));
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, floor->headers);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, slot);
    return easy;
}

static void send_next(struct floor *floor, struct slot *slot)
{
    if (floor->sent == floor->count)
        return;
    floor->sent++;
    slot->started = now();
    curl_multi_add_handle(floor->multi, slot->easy);
}

static void collect(struct floor *floor)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(floor->multi, &left)) != NULL) {
        CURLcode result = message->data.result;
        struct slot *slot = NULL;
        long status = 0;

        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &slot);
        curl_easy_getinfo(slot->easy, CURLINFO_RESPONSE_CODE, &status);
        floor->failed += result != CURLE_OK || status != 200;
        floor->latencies[floor->ended++] = now() - slot->started;
        curl_multi_remove_handle(floor->multi, slot->easy);
        send_next(floor, slot);
    }
}

static void drive(struct floor *floor)
{
    struct epoll_event events[EVENTS_A_STEP];
    int running;

    while (floor->ended < floor->count) {
        int count = epoll_wait(floor->epoll_fd, events, EVENTS_A_STEP,
                               (int)floor->timeout_ms);

        if (count == 0) {
            floor->timeout_ms = -1;
            curl_multi_socket_action(floor->multi, CURL_SOCKET_TIMEOUT, 0,
                                     &running);
        }
        for (int i = 0; i < count; i++)
            curl_multi_socket_action(
                floor->multi, events[i].data.fd,
                (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                    (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                    (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR
                                                              : 0),
                &running);
        collect(floor);
    }
}

static int l_run(lua_State *L)
{
    struct floor floor = {.timeout_ms = -1};
    long concurrency = number(L, "concurrency");

    floor.count = number(L, "count");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    lua_getfield(L, 1, "headers");
    for (int i = 1; i <= (int)lua_rawlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        floor.headers = curl_slist_append(floor.headers, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    floor.slots = calloc((size_t)concurrency, sizeof *floor.slots);
    floor.latencies = calloc((size_t)floor.count, sizeof *floor.latencies);
    floor.multi = curl_multi_init();
    floor.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    curl_multi_setopt(floor.multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(floor.multi, CURLMOPT_SOCKETDATA, &floor);
    curl_multi_setopt(floor.multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(floor.multi, CURLMOPT_TIMERDATA, &floor);
    curl_multi_setopt(floor.multi, CURLMOPT_MAXCONNECTS, concurrency);
    for (long i = 0; i < concurrency; i++) {
        floor.slots[i].easy = new_handle(L, &floor, &floor.slots[i]);
        send_next(&floor, &floor.slots[i]);
    }
    drive(&floor);

    for (long i = 0; i < concurrency; i++)
        curl_easy_cleanup(floor.slots[i].easy);
    curl_multi_cleanup(floor.multi);
    curl_slist_free_all(floor.headers);
    close(floor.epoll_fd);
    lua_pushinteger(L, floor.failed);
    lua_newtable(L);
    for (long i = 0; i < floor.count; i++) {
        lua_pushnumber(L, floor.latencies[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    free(floor.latencies);
    free(floor.slots);
    return 2;
}

__attribute__((visibility("default"))) int luaopen_curl_floor(lua_State *L);

int luaopen_curl_floor(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, l_run);
    lua_setfield(L, -2, "run");
    return 1;
}

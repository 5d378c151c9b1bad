#include "core/base64.h"

#include <stdint.h>

#include "core/bytes.h"

static const char digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t cce_base64_length(size_t length)
{
    return length / 3 * 4 + (length % 3 != 0 ? 4 : 0);
}

/* Encodes one to three bytes as four characters. */
static void encode_group(const unsigned char *bytes, size_t count, char *out)
{
    uint32_t bits = (uint32_t)bytes[0] << 16;

    if (count > 1)
        bits |= (uint32_t)bytes[1] << 8;
    if (count > 2)
        bits |= bytes[2];
    out[0] = digits[bits >> 18];
    out[1] = digits[bits >> 12 & 63];
    out[2] = count > 1 ? digits[bits >> 6 & 63] : '=';
    out[3] = count > 2 ? digits[bits & 63] : '=';
}

void cce_base64_encode(const void *bytes, size_t length, struct cce_buf *out)
{
    const unsigned char *input = bytes;
    size_t room = cce_base64_length(length);
    char *output = cce_buf_reserve(out, room);

    if (output == NULL)
        return;
    /* The last group alone may be shorter, and is padded. */
    for (; length > 3; length -= 3, input += 3, output += 4)
        encode_group(input, 3, output);
    if (length > 0)
        encode_group(input, length, output);
    cce_buf_commit(out, room);
}

/* The six bits of a character, or -1. */
static int digit_value(char character)
{
    if (character >= 'A' && character <= 'Z')
        return character - 'A';
    if (character >= 'a' && character <= 'z')
        return character - 'a' + 26;
    if (character >= '0' && character <= '9')
        return character - '0' + 52;
    if (character == '+')
        return 62;
    return character == '/' ? 63 : -1;
}

struct decoder {
    char *out;
    size_t length;   /* bytes written to out */
    uint32_t bits;   /* those of the digits not yet written */
    unsigned digits; /* in the group under way, 0..3 */
    unsigned pads;
};

static void put_byte(struct decoder *decoder, uint32_t byte)
{
    decoder->out[decoder->length++] = (char)(byte & 0xff);
}

/* Takes one character; false when it does not belong there. */
static bool feed(struct decoder *decoder, char character)
{
    int value = digit_value(character);

    if (cce_is_blank(character))
        return true;
    if (character == '=')
        return ++decoder->pads <= 2;
    if (value < 0 || decoder->pads > 0)
        return false;
    decoder->bits = decoder->bits << 6 | (uint32_t)value;
    if (++decoder->digits == 4) {
        put_byte(decoder, decoder->bits >> 16);
        put_byte(decoder, decoder->bits >> 8);
        put_byte(decoder, decoder->bits);
        decoder->digits = 0;
        decoder->bits = 0;
    }
    return true;
}

/* Writes the last, shorter group; says what is wrong with it, or NULL. Bits
 * that no byte uses are zero in every encoding: others are a sign of a cut. */
static const char *finish(struct decoder *decoder)
{
    unsigned expected = decoder->digits == 0 ? 0 : 4 - decoder->digits;

    if (decoder->digits == 1)
        return "the Base64 is cut off";
    if (decoder->pads != expected)
        return "the Base64 has the wrong padding, or is cut off";
    if (decoder->digits == 2 && (decoder->bits & 0xf) == 0)
        put_byte(decoder, decoder->bits >> 4);
    else if (decoder->digits == 3 && (decoder->bits & 0x3) == 0) {
        put_byte(decoder, decoder->bits >> 10);
        put_byte(decoder, decoder->bits >> 2);
    } else if (decoder->digits != 0)
        return "the Base64 ends with stray bits";
    return NULL;
}

int cce_base64_decode(const char *text, size_t length, struct cce_buf *out,
                      struct cce_error *err)
{
    struct decoder decoder = {0};
    const char *problem = NULL;
    size_t at = 0;

    decoder.out = cce_buf_reserve(out, length / 4 * 3 + 3);
    if (decoder.out == NULL) {
        bool too_long = out->too_long;

        cce_buf_reset(out);
        if (!too_long)
            return cce_fail_memory(err);
        return cce_fail(err, CCE_INVALID_ARGUMENT, "the Base64 is too long");
    }
    while (at < length && feed(&decoder, text[at]))
        at++;
    if (at == length)
        problem = finish(&decoder);
    cce_buf_commit(out, decoder.length);
    cce_wipe(&decoder, sizeof decoder);
    if (at == length && problem == NULL)
        return 0;
    cce_buf_reset(out);
    if (problem != NULL)
        return cce_fail(err, CCE_INVALID_ARGUMENT, "%s", problem);
    return cce_fail(err, CCE_INVALID_ARGUMENT,
                    "byte %zu does not belong in Base64", at + 1);
}

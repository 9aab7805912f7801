/* SPDX-License-Identifier: BSD-3-Clause
 * encode.c - hex and base64 (RFC 4648, standard, padded)
 */
#include "core/base/encode.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char base64_alphabet[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *ts_hex_encode(const void *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = data;

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * len] = '\0';
	return out;
}

int ts_hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int ts_hex_byte(const char *text)
{
	int high = ts_hex_digit(text[0]);
	int low = high < 0 ? -1 : ts_hex_digit(text[1]);

	return low < 0 ? -1 : high << 4 | low;
}

int ts_hex_decode(const char *text, size_t text_len, void *out, size_t len)
{
	uint8_t *to = out;

	if (text_len != 2 * len)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		int byte = ts_hex_byte(text + 2 * i);

		if (byte < 0)
			return -EBADMSG;
		to[i] = (uint8_t)byte;
	}
	return 0;
}

char *ts_base64_encode(const void *data, size_t len)
{
	const uint8_t *in = data;
	char *out = malloc((len + 2) / 3 * 4 + 1), *to = out;

	if (!out)
		return NULL;
	for (size_t i = 0; i < len; i += 3) {
		size_t n = len - i < 3 ? len - i : 3;
		uint32_t v = (uint32_t)in[i] << 16;

		v |= n > 1 ? (uint32_t)in[i + 1] << 8 : 0;
		v |= n > 2 ? in[i + 2] : 0;
		*to++ = base64_alphabet[v >> 18];
		*to++ = base64_alphabet[v >> 12 & 63];
		*to++ = n > 1 ? base64_alphabet[v >> 6 & 63] : '=';
		*to++ = n > 2 ? base64_alphabet[v & 63] : '=';
	}
	*to = '\0';
	return out;
}

static int base64_digit(char c)
{
	const char *at = c ? strchr(base64_alphabet, c) : NULL;

	return at ? (int)(at - base64_alphabet) : -1;
}

/* One group of 4 characters; returns the number of bytes, or -EBADMSG. */
static int decode_base64_group(const char *in, int is_last, uint8_t out[3])
{
	int pad = 0;
	uint32_t v = 0;

	if (is_last && in[3] == '=')
		pad = in[2] == '=' ? 2 : 1;
	for (int i = 0; i < 4; i++) {
		int d = i < 4 - pad ? base64_digit(in[i]) : 0;

		if (d < 0)
			return -EBADMSG;
		v = v << 6 | (uint32_t)d;
	}
	out[0] = (uint8_t)(v >> 16);
	out[1] = (uint8_t)(v >> 8);
	out[2] = (uint8_t)v;
	return 3 - pad;
}

int ts_base64_decode(const char *text, size_t text_len, uint8_t **out,
		     size_t *out_len)
{
	uint8_t *buf, *to;

	if (text_len % 4 != 0)
		return -EBADMSG;
	buf = to = malloc(text_len / 4 * 3 + 4);
	if (!buf)
		return -ENOMEM;
	for (size_t i = 0; i < text_len; i += 4) {
		int n = decode_base64_group(text + i, i + 4 == text_len, to);

		if (n < 0) {
			/* It may be the start of a key. */
			explicit_bzero(buf, (size_t)(to - buf));
			free(buf);
			return n;
		}
		to += n;
	}
	*to = '\0';
	*out = buf;
	*out_len = (size_t)(to - buf);
	return 0;
}

/* SPDX-License-Identifier: BSD-3-Clause
 * idna.c - names with letters beyond ASCII, as name servers know them
 *
 * No Unicode library: a table has the letters of the scripts that most such
 * names are in, as they are typed: precomposed, with capitals that have one
 * small letter each. They need no other mapping and no normal form. Whatever is
 * not in the table (combining marks, ligatures, letters of full width) may need
 * one, so the name is somebody else's business who has the library.
 */
#include "core/dns/idna.h"

#include <ctype.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define ACE_PREFIX "xn--"

enum { CODES_MAX = DNS_LABEL_MAX, REPLACED = 0xfffd };

/* -- UTF-8 ---------------------------------------------------------------- */

/* The next code point, *at moves behind it; REPLACED: malformed. */
static uint32_t next_code(const char **at)
{
	static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
	const uint8_t *p = (const uint8_t *)*at;
	unsigned more = p[0] >= 0xf0 ? 3 : p[0] >= 0xe0 ? 2 : p[0] >= 0xc0;
	uint32_t code = p[0];

	if (p[0] >= 0x80 && (more == 0 || p[0] >= 0xf8))
		return REPLACED;
	if (more)
		code &= 0x3fu >> more;
	for (unsigned i = 1; i <= more; i++) {
		if ((p[i] & 0xc0) != 0x80) /* the end, too */
			return REPLACED;
		code = code << 6 | (p[i] & 0x3fu);
	}
	*at += more + 1;
	return code < least[more] ? REPLACED : code;
}

/* -- letters -------------------------------------------------------------- */

enum kind {
	KEEP,
	ADD,  /* capitals: the small letter is `by` further */
	EVEN, /* even ones are capitals of the next */
	ODD,  /* odd ones are capitals of the next */
};

struct range {
	uint16_t first, last;
	uint8_t kind, by;
};

/* In order. */
static const struct range letters[] = {
	/* Latin */
	{0x00c0, 0x00d6, ADD, 0x20}, {0x00d8, 0x00de, ADD, 0x20},
	{0x00df, 0x00f6, KEEP, 0}, {0x00f8, 0x00ff, KEEP, 0},
	{0x0100, 0x012f, EVEN, 0}, {0x0131, 0x0131, KEEP, 0},
	{0x0134, 0x0137, EVEN, 0}, {0x0138, 0x0138, KEEP, 0},
	{0x0139, 0x013e, ODD, 0}, {0x0141, 0x0148, ODD, 0},
	{0x014a, 0x0177, EVEN, 0}, {0x0179, 0x017e, ODD, 0},
	{0x01a0, 0x01a1, EVEN, 0}, {0x01af, 0x01b0, ODD, 0},
	{0x01cd, 0x01dc, ODD, 0}, {0x0218, 0x021b, EVEN, 0},
	/* Greek */
	{0x0386, 0x0386, ADD, 0x26}, {0x0388, 0x038a, ADD, 0x25},
	{0x038c, 0x038c, ADD, 0x40}, {0x038e, 0x038f, ADD, 0x3f},
	{0x0390, 0x0390, KEEP, 0}, {0x0391, 0x03a1, ADD, 0x20},
	{0x03a3, 0x03ab, ADD, 0x20}, {0x03ac, 0x03ce, KEEP, 0},
	/* Cyrillic */
	{0x0400, 0x040f, ADD, 0x50}, {0x0410, 0x042f, ADD, 0x20},
	{0x0430, 0x045f, KEEP, 0}, {0x0460, 0x0481, EVEN, 0},
	{0x048a, 0x04bf, EVEN, 0}, {0x04c1, 0x04ce, ODD, 0},
	{0x04d0, 0x052f, EVEN, 0},
	/* Armenian, Hebrew, Arabic */
	{0x0531, 0x0556, ADD, 0x30}, {0x0561, 0x0586, KEEP, 0},
	{0x05d0, 0x05ea, KEEP, 0}, {0x0620, 0x063f, KEEP, 0},
	{0x0641, 0x064a, KEEP, 0}, {0x0671, 0x0674, KEEP, 0},
	{0x0679, 0x06d3, KEEP, 0},
	/* Devanagari, Thai, Georgian */
	{0x0902, 0x0903, KEEP, 0}, {0x0905, 0x0939, KEEP, 0},
	{0x093e, 0x094d, KEEP, 0}, {0x0966, 0x096f, KEEP, 0},
	{0x0e01, 0x0e32, KEEP, 0}, {0x0e34, 0x0e3a, KEEP, 0},
	{0x0e40, 0x0e4e, KEEP, 0}, {0x0e50, 0x0e59, KEEP, 0},
	{0x10d0, 0x10fa, KEEP, 0},
	/* Vietnamese and others of Latin */
	{0x1e00, 0x1e95, EVEN, 0}, {0x1ea0, 0x1eff, EVEN, 0},
	/* Chinese, Japanese, Korean */
	{0x3005, 0x3007, KEEP, 0}, {0x3041, 0x3096, KEEP, 0},
	{0x30a1, 0x30fa, KEEP, 0}, {0x30fc, 0x30fe, KEEP, 0},
	{0x3400, 0x4dbf, KEEP, 0}, {0x4e00, 0x9fff, KEEP, 0},
	{0xac00, 0xd7a3, KEEP, 0},
};

/* As it is in a name; REPLACED: not one that we know. */
static uint32_t small_letter(uint32_t code)
{
	if (code < 0x80)
		return isalnum((int)code) || code == '-' || code == '_'
			       ? (uint32_t)tolower((int)code)
			       : REPLACED;
	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++) {
		const struct range *r = &letters[i];

		if (code < r->first || code > r->last)
			continue;
		switch ((enum kind)r->kind) {
		case KEEP:
			return code;
		case ADD:
			return code + r->by;
		case EVEN:
			return code | 1;
		case ODD:
			return code + (code & 1);
		}
	}
	return REPLACED;
}

/* -- Punycode ------------------------------------------------------------- */

enum {
	BASE = 36,
	T_MIN = 1,
	T_MAX = 26,
	SKEW = 38,
	DAMP = 700,
	INITIAL_BIAS = 72,
	INITIAL_N = 0x80,
};

struct label {
	uint32_t codes[CODES_MAX];
	size_t count;
	char text[DNS_LABEL_MAX + 1];
	size_t len;
};

static bool put(struct label *l, char c)
{
	if (l->len == DNS_LABEL_MAX)
		return false;
	l->text[l->len++] = c;
	l->text[l->len] = '\0';
	return true;
}

static uint32_t adapt(uint32_t delta, uint32_t points, bool is_first)
{
	uint32_t k = 0;

	delta = is_first ? delta / DAMP : delta / 2;
	delta += delta / points;
	for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE)
		delta /= BASE - T_MIN;
	return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

static bool put_number(struct label *l, uint32_t q, uint32_t bias)
{
	for (uint32_t k = BASE;; k += BASE) {
		uint32_t t = k <= bias ? T_MIN
			     : k >= bias + T_MAX ? T_MAX : k - bias;
		uint32_t digit = q < t ? q : t + (q - t) % (BASE - t);

		if (!put(l, (char)(digit < 26 ? 'a' + digit
					      : '0' + digit - 26)))
			return false;
		if (q < t)
			return true;
		q = (q - t) / (BASE - t);
	}
}

/* The least code that is n or more. */
static uint32_t least_from(const struct label *l, uint32_t n)
{
	uint32_t least = UINT32_MAX;

	for (size_t i = 0; i < l->count; i++)
		if (l->codes[i] >= n && l->codes[i] < least)
			least = l->codes[i];
	return least;
}

/* 63 codes below 0x10000 each: delta cannot overflow. */
static bool encode(struct label *l)
{
	uint32_t n = INITIAL_N, delta = 0, bias = INITIAL_BIAS, done, basic = 0;

	for (const char *c = ACE_PREFIX; *c; c++)
		(void)put(l, *c);
	for (size_t i = 0; i < l->count; i++) {
		if (l->codes[i] >= INITIAL_N)
			continue;
		basic++;
		if (!put(l, (char)l->codes[i]))
			return false;
	}
	done = basic;
	if (basic > 0 && !put(l, '-'))
		return false;
	while (done < l->count) {
		uint32_t m = least_from(l, n);

		delta += (m - n) * (done + 1);
		n = m;
		for (size_t i = 0; i < l->count; i++) {
			delta += l->codes[i] < n;
			if (l->codes[i] != n)
				continue;
			if (!put_number(l, delta, bias))
				return false;
			bias = adapt(delta, done + 1, done == basic);
			delta = 0;
			done++;
		}
		delta++;
		n++;
	}
	return true;
}

/* -- names ---------------------------------------------------------------- */

/* A dot, or what is typed for one in Chinese and Japanese. */
static bool is_dot(uint32_t code)
{
	return code == '.' || code == 0x3002 || code == 0xff0e ||
	       code == 0xff61;
}

/* Up to the next dot or the end; *at stays there. */
static bool read_label(const char **at, struct label *out, bool *has_more)
{
	bool is_ascii = true;

	out->count = out->len = 0;
	*has_more = false;
	while (**at && !*has_more) {
		uint32_t code = next_code(at);

		if (code == REPLACED)
			return false;
		*has_more = is_dot(code);
		if (*has_more)
			break;
		code = small_letter(code);
		if (code == REPLACED || out->count == CODES_MAX)
			return false;
		is_ascii &= code < INITIAL_N;
		out->codes[out->count++] = code;
	}
	if (is_ascii) {
		for (size_t i = 0; i < out->count; i++)
			(void)put(out, (char)out->codes[i]);
		return true;
	}
	/* RFC 5891: where a hyphen may not be. */
	if (out->codes[0] == '-' || out->codes[out->count - 1] == '-' ||
	    (out->count > 3 && out->codes[2] == '-' && out->codes[3] == '-'))
		return false;
	return encode(out);
}

static bool is_plain(const char *name)
{
	for (; *name; name++)
		if ((unsigned char)*name >= 0x80)
			return false;
	return true;
}

bool ts_dns_to_ascii(const char *name, char out[static DNS_TEXT_CAP])
{
	struct label label;
	size_t len = 0;
	bool has_more;

	if (is_plain(name)) {
		len = strlen(name);
		if (len >= DNS_TEXT_CAP)
			return false;
		memcpy(out, name, len + 1);
		return true;
	}
	do {
		if (!read_label(&name, &label, &has_more) ||
		    (label.len == 0 && (has_more || len == 0)) ||
		    len + label.len + 1 >= DNS_TEXT_CAP)
			return false;
		memcpy(out + len, label.text, label.len);
		len += label.len;
		if (has_more)
			out[len++] = '.';
	} while (has_more);
	out[len] = '\0';
	return true;
}

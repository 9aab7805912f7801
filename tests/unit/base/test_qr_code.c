/* SPDX-License-Identifier: BSD-3-Clause
 * QR codes: read back by a reader of this test's own, which knows the standard
 * from the other side (a damaged code would fail its check of the codewords).
 * tests/e2e/test_auth.py has them read by a stock reader.
 */
#include "unit/test.h"

#include <errno.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/qr_code.h"

enum { CODEWORDS_MAX = 346 };

/* By version: blocks, codewords for correction in each, all codewords. */
static const int shapes[11][3] = {
	{0},	     {1, 10, 26},  {1, 16, 44},	 {1, 26, 70},
	{2, 18, 100}, {2, 24, 134}, {4, 16, 172}, {4, 18, 196},
	{4, 22, 242}, {5, 22, 292}, {5, 26, 346},
};
static const int centres[11][3] = {
	{0},	 {0},	  {6, 18},     {6, 22},	    {6, 26},	{6, 30},
	{6, 34}, {6, 22, 38}, {6, 24, 42}, {6, 26, 46}, {6, 28, 50},
};

static bool near_centre(int version, int x, int y)
{
	int last = 4 * version + 10;

	for (int i = 0; i < 3 && centres[version][i]; i++)
		for (int k = 0; k < 3 && centres[version][k]; k++) {
			int cx = centres[version][i], cy = centres[version][k];

			if ((cx == 6 && cy == 6) || (cx == 6 && cy == last) ||
			    (cx == last && cy == 6))
				continue;
			if (x >= cx - 2 && x <= cx + 2 && y >= cy - 2 &&
			    y <= cy + 2)
				return true;
		}
	return false;
}

static bool is_data(int version, int x, int y)
{
	int size = 17 + 4 * version;

	if (x == 6 || y == 6 || near_centre(version, x, y))
		return false;
	if ((x < 9 && y < 9) || (x < 9 && y >= size - 8) ||
	    (x >= size - 8 && y < 9))
		return false;
	if (version >= 7 && ((x < 6 && y >= size - 11) ||
			     (y < 6 && x >= size - 11)))
		return false;
	return true;
}

static bool masked(int mask, int i, int j) /* row, column: as the standard */
{
	switch (mask) {
	case 0: return (i + j) % 2 == 0;
	case 1: return i % 2 == 0;
	case 2: return j % 3 == 0;
	case 3: return (i + j) % 3 == 0;
	case 4: return (i / 2 + j / 3) % 2 == 0;
	case 5: return (i * j) % 2 + (i * j) % 3 == 0;
	case 6: return ((i * j) % 2 + (i * j) % 3) % 2 == 0;
	default: return ((i + j) % 2 + (i * j) % 3) % 2 == 0;
	}
}

/* The format bits beside the upper left corner: level and mask. */
static int read_mask(const struct ts_qr *qr)
{
	static const int at[15][2] = {
		{8, 0}, {8, 1}, {8, 2}, {8, 3}, {8, 4}, {8, 5}, {8, 7}, {8, 8},
		{7, 8}, {5, 8}, {4, 8}, {3, 8}, {2, 8}, {1, 8}, {0, 8}};
	int bits = 0;

	for (int i = 14; i >= 0; i--)
		bits = bits << 1 | qr->dark[at[i][1]][at[i][0]];
	bits ^= 0x5412;
	assert_int_equal(bits >> 13, 0); /* level M */
	return bits >> 10 & 7;
}

/* From version 7 on it is said twice, in the standard's code words. */
static void check_version(const struct ts_qr *qr, int version)
{
	static const int words[] = {0x07c94, 0x085bc, 0x09a99, 0x0a4d3};

	for (int i = 0; version >= 7 && i < 18; i++) {
		int bit = words[version - 7] >> i & 1;
		int far = qr->size - 11 + i % 3;

		assert_int_equal(qr->dark[i / 3][far], bit);
		assert_int_equal(qr->dark[far][i / 3], bit);
	}
}

static int read_codewords(const struct ts_qr *qr, int version,
			  uint8_t out[static CODEWORDS_MAX])
{
	int mask = read_mask(qr), count = 0;
	bool up = true;

	memset(out, 0, CODEWORDS_MAX);
	for (int right = qr->size - 1; right > 0; right -= 2, up = !up) {
		right -= right == 6;
		for (int n = 0; n < qr->size; n++) {
			int y = up ? qr->size - 1 - n : n;

			for (int x = right; x > right - 2; x--) {
				if (!is_data(version, x, y) ||
				    count >= 8 * shapes[version][2])
					continue;
				if (qr->dark[y][x] ^ masked(mask, y, x))
					out[count / 8] |=
						(uint8_t)(128 >> count % 8);
				count++;
			}
		}
	}
	return count / 8;
}

static uint8_t times2(uint8_t a)
{
	return (uint8_t)(a << 1 ^ (a & 128 ? 0x1d : 0));
}

/* A block is sound when 1, 2, 4, ... are roots of its polynomial. */
static void check_block(const uint8_t *block, int len, int ec)
{
	for (int root = 0; root < ec; root++) {
		uint8_t sum = 0;

		for (int i = 0; i < len; i++) {
			for (int k = 0; k < root; k++)
				sum = times2(sum);
			sum ^= block[i];
		}
		assert_int_equal(sum, 0);
	}
}

static void read_back(const char *text)
{
	uint8_t words[CODEWORDS_MAX], data[CODEWORDS_MAX], block[160];
	struct ts_qr qr;
	int version, blocks, ec, all, long_blocks, short_len, used = 0;
	size_t len = strlen(text), shift;

	assert_int_equal(ts_qr_encode(text, &qr), 0);
	version = (qr.size - 17) / 4;
	blocks = shapes[version][0];
	ec = shapes[version][1];
	all = shapes[version][2];
	long_blocks = all % blocks;
	short_len = all / blocks - ec;
	check_version(&qr, version);
	assert_int_equal(read_codewords(&qr, version, words), all);
	for (int b = 0; b < blocks; b++) {
		bool is_long = b >= blocks - long_blocks;
		int n = 0, first_ec = all - ec * blocks;

		for (int i = 0; i < short_len; i++)
			block[n++] = words[i * blocks + b];
		if (is_long)
			block[n++] = words[short_len * blocks + b -
					   (blocks - long_blocks)];
		memcpy(data + used, block, (size_t)n);
		used += n;
		for (int i = 0; i < ec; i++)
			block[n++] = words[first_ec + i * blocks + b];
		check_block(block, n, ec);
	}
	assert_int_equal(data[0] >> 4, 4); /* bytes */
	shift = version < 10 ? 1 : 2;
	if (shift == 1)
		assert_int_equal((data[0] & 15) << 4 | data[1] >> 4, len);
	else
		assert_int_equal((data[0] & 15) << 12 | data[1] << 4 |
					 data[2] >> 4,
				 len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal((uint8_t)(data[i + shift] << 4 |
					   data[i + shift + 1] >> 4),
				 (uint8_t)text[i]);
}

static void every_length_is_read_back(void **state)
{
	char text[TS_QR_TEXT_MAX + 2];

	(void)state;
	for (size_t len = 0; len <= TS_QR_TEXT_MAX; len++) {
		for (size_t i = 0; i < len; i++)
			text[i] = (char)(' ' + (i * 31 + len * 7) % 95);
		text[len] = '\0';
		read_back(text);
	}
	read_back("https://login.tailscale.com/a/0123456789abcdef");
}

static void a_long_text_is_refused(void **state)
{
	char text[TS_QR_TEXT_MAX + 2];
	struct ts_qr qr;

	(void)state;
	memset(text, 'a', sizeof(text));
	text[TS_QR_TEXT_MAX + 1] = '\0';
	assert_int_equal(ts_qr_encode(text, &qr), -EMSGSIZE);
}

struct drawn {
	int lines;
	size_t len;
	char first[TS_QR_LINE_CAP], fifth[TS_QR_LINE_CAP];
};

static void take_line(void *ctx, const char *line)
{
	struct drawn *d = ctx;

	if (d->lines == 0)
		strcpy(d->first, line);
	if (d->lines == 4)
		strcpy(d->fifth, line);
	d->len = strlen(line);
	d->lines++;
}

static void it_is_drawn_with_a_margin(void **state)
{
	struct drawn ascii = {0}, utf8 = {0};
	struct ts_qr qr;

	(void)state;
	assert_int_equal(ts_qr_encode("x", &qr), 0);
	assert_int_equal(qr.size, 21);
	ts_qr_draw(&qr, false, take_line, &ascii);
	assert_int_equal(ascii.lines, 29);
	assert_int_equal(ascii.len, 58);
	assert_int_equal(strspn(ascii.first, "#"), 58);
	/* Corner: four light ones, then seven dark ones. */
	assert_memory_equal(ascii.fifth, "########              ##", 24);
	ts_qr_draw(&qr, true, take_line, &utf8);
	assert_int_equal(utf8.lines, 15);
	assert_int_equal(strlen(utf8.first), 3 * 29);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_is_read_back),
		cmocka_unit_test(a_long_text_is_refused),
		cmocka_unit_test(it_is_drawn_with_a_margin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

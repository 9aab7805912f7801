/* SPDX-License-Identifier: BSD-3-Clause
 * test_cbor.c - the canonical form is read, and nothing else
 */
#include "samples.h"

#include "core/tka/cbor.h"

static struct ts_reader reader(struct sample *s, const char *hex)
{
	*s = sample(hex);
	return ts_reader_init(s->data, s->len);
}

static uint64_t read_uint(const char *hex, bool *bad)
{
	struct sample s;
	struct ts_reader r = reader(&s, hex);
	uint64_t v = ts_cbor_read_uint(&r);

	*bad = r.bad || r.left > 0;
	sample_free(&s);
	return v;
}

static void numbers_in_their_shortest_form(void **state)
{
	static const struct {
		const char *hex;
		uint64_t value;
	} good[] = {
		{"00", 0}, {"17", 23}, {"1818", 24}, {"18ff", 255},
		{"190100", 256}, {"19ffff", 65535}, {"1a00010000", 65536},
		{"1affffffff", 0xffffffff},
		{"1b0000000100000000", 0x100000000},
		{"1bffffffffffffffff", UINT64_MAX},
	};
	static const char *const wrong[] = {
		"1817", "1900ff", "1a0000ffff", "1b00000000ffffffff", "1c",
		"1f", "20", "40", "", "18", "1a000100",
	};
	bool bad;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(read_uint(good[i].hex, &bad) == good[i].value);
		assert_false(bad);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_true(read_uint(wrong[i], &bad) == 0);
		assert_true(bad);
	}
}

static void what_is_written_is_read(void **state)
{
	static const uint64_t values[] = {0, 23, 24, 255, 256, 65535, 65536,
					  UINT32_MAX, UINT64_MAX};
	uint8_t buf[64];

	(void)state;
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct ts_writer w = ts_writer_init(buf, sizeof(buf));
		struct ts_reader r;
		struct ts_cbor_bytes text;

		ts_cbor_write_uint(&w, values[i]);
		ts_cbor_write_text(&w, "abc", 3);
		ts_cbor_write_null(&w);
		assert_false(w.bad);
		r = ts_reader_init(buf, w.len);
		assert_true(ts_cbor_read_uint(&r) == values[i]);
		text = ts_cbor_read_text(&r);
		assert_memory_equal(text.data, "abc", 3);
		assert_true(ts_cbor_read_null(&r));
		assert_false(ts_cbor_read_null(&r));
		assert_true(!r.bad && r.left == 0);
	}
}

static bool skips(const char *hex)
{
	struct sample s;
	struct ts_reader r = reader(&s, hex);
	bool good;

	ts_cbor_skip(&r);
	good = !r.bad && r.left == 0;
	sample_free(&s);
	return good;
}

static void any_value_is_skipped_that_is_canonical(void **state)
{
	static const char *const good[] = {
		"00", "37", "43010203", "6161", "80", "83010203", "a0",
		"a201020304", "f4", "f5", "f6",
		"81818181818181818181818181818100", /* 15 deep */
		"a1018281a101f643ffffff"};
	static const char *const wrong[] = {
		"c000",	  /* a tag */
		"f7",	  /* undefined */
		"f90000", /* a float */
		"9f00ff", /* of indefinite length */
		"5f4100ff", "bf0100ff", "ff",
		"8181818181818181818181818181818100", /* 16 deep */
		"83010203ff00"};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(skips(good[i]));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(skips(wrong[i]));
}

static void counts_are_believed_up_to_what_can_come(void **state)
{
	static const char *const wrong[] = {
		"9a7fffffff",		/* an array of 2 billion */
		"bb7fffffffffffffff",	/* a map */
		"5b7fffffffffffffff00", /* bytes */
		"991001",		/* one over the limit, with none */
		"8300", "a1",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(skips(wrong[i]));
}

static size_t count_keys(const char *hex)
{
	struct sample s;
	struct ts_reader r = reader(&s, hex);
	struct ts_cbor_map map;
	uint64_t key;
	size_t n = 0;

	ts_cbor_map_open(&r, &map);
	while (ts_cbor_map_next(&r, &map, &key)) {
		ts_cbor_skip(&r);
		n++;
	}
	n = r.bad || r.left ? 999 : n;
	sample_free(&s);
	return n;
}

static void keys_of_a_map_rise(void **state)
{
	(void)state;
	assert_int_equal(count_keys("a0"), 0);
	assert_int_equal(count_keys("a3000001001700"), 3);
	assert_int_equal(count_keys("a201000100"), 999); /* twice */
	assert_int_equal(count_keys("a202000100"), 999); /* falling */
	assert_int_equal(count_keys("a1616100"), 999);	 /* text */
	assert_int_equal(count_keys("a22000"), 999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_in_their_shortest_form),
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(any_value_is_skipped_that_is_canonical),
		cmocka_unit_test(counts_are_believed_up_to_what_can_come),
		cmocka_unit_test(keys_of_a_map_rise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

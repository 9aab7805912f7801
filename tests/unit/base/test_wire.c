/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit/test.h"

#include <string.h>

#include "core/base/wire.h"

static void reads_every_width(void **state)
{
	const uint8_t in[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
			      15, 16, 17, 18};
	struct ts_reader r = ts_reader_init(in, sizeof(in));

	(void)state;
	assert_int_equal(ts_read_u8(&r), 1);
	assert_int_equal(ts_read_be16(&r), 0x0203);
	assert_int_equal(ts_read_be24(&r), 0x040506);
	assert_int_equal(ts_read_be32(&r), 0x0708090a);
	assert_true(ts_read_le64(&r) == 0x1211100f0e0d0c0bu);
	assert_int_equal(r.left, 0);
	assert_false(r.bad);
}

static void a_read_past_the_end_is_sticky(void **state)
{
	const uint8_t in[] = {1, 2, 3};
	struct ts_reader r = ts_reader_init(in, sizeof(in));
	uint8_t out[4] = {9, 9, 9, 9};

	(void)state;
	assert_int_equal(ts_read_be32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(ts_read_u8(&r), 0);
	ts_read_bytes(&r, out, sizeof(out));
	assert_int_equal(out[0] | out[1] | out[2] | out[3], 0);
	assert_null(ts_read_view(&r, 1));
}

static void a_length_near_size_max_does_not_wrap(void **state)
{
	const uint8_t in[8] = {0};
	struct ts_reader r = ts_reader_init(in, sizeof(in));

	(void)state;
	ts_read_skip(&r, 4);
	assert_null(ts_read_view(&r, SIZE_MAX - 1));
	assert_true(r.bad);
}

static void a_block_ends_where_it_says(void **state)
{
	const uint8_t in[] = {1, 2, 3, 4};
	struct ts_reader r = ts_reader_init(in, sizeof(in));
	struct ts_reader block = ts_read_block(&r, 2);

	(void)state;
	assert_int_equal(ts_read_be16(&block), 0x0102);
	ts_read_u8(&block);
	assert_true(block.bad);
	assert_int_equal(ts_read_be16(&r), 0x0304);
	block = ts_read_block(&r, 1);
	assert_true(block.bad && r.bad);
}

static void writes_and_reports_lack_of_room(void **state)
{
	uint8_t out[8];
	struct ts_writer w = ts_writer_init(out, sizeof(out));

	(void)state;
	ts_write_be16(&w, 0x0102);
	ts_write_le32(&w, 0x0a0b0c0d);
	assert_memory_equal(out, "\x01\x02\x0d\x0c\x0b\x0a", 6);
	assert_int_equal(w.len, 6);
	ts_write_be32(&w, 1);
	assert_true(w.bad);
	ts_write_u8(&w, 1);
	assert_int_equal(w.len, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_every_width),
		cmocka_unit_test(a_read_past_the_end_is_sticky),
		cmocka_unit_test(a_length_near_size_max_does_not_wrap),
		cmocka_unit_test(a_block_ends_where_it_says),
		cmocka_unit_test(writes_and_reports_lack_of_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

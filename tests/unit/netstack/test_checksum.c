/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "netstack/checksum.h"
#include "netstack/tcp_isn.h"

/* RFC 1071 section 4.1, one word at a time */
static uint16_t slow_sum(const uint8_t *at, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)at[i] << 8 | at[i + 1];
	if (len % 2)
		sum += (uint32_t)at[len - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static void rfc_1071_example(void **state)
{
	/* RFC 1071 section 3 */
	static const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03,
				       0xf4, 0xf5, 0xf6, 0xf7};

	(void)state;
	assert_int_equal(stack_sum(data, sizeof(data)), 0xddf2);
	assert_int_equal(stack_sum_finish(stack_sum(data, sizeof(data))),
			 0x220d);
}

static void same_as_the_simple_one_at_each_length_and_offset(void **state)
{
	uint8_t data[1600];
	uint32_t x = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++) {
		x = x * 1664525 + 1013904223;
		data[i] = (uint8_t)(x >> 24);
	}
	for (size_t off = 0; off < 9; off++)
		for (size_t len = 0; len + off <= sizeof(data); len++)
			assert_int_equal(
				stack_sum_finish(stack_sum(data + off, len)),
				slow_sum(data + off, len));
}

static void all_ones_do_not_overflow(void **state)
{
	size_t len = 65535;
	uint8_t *data = malloc(len);

	(void)state;
	assert_non_null(data);
	memset(data, 0xff, len);
	assert_int_equal(stack_sum_finish(stack_sum(data, len)),
			 slow_sum(data, len));
	free(data);
}

static void pseudo_header_of_a_udp_packet(void **state)
{
	/* 192.0.2.1:1000 -> 192.0.2.2:2000 "hi", summed by hand */
	uint8_t udp[] = {0x03, 0xe8, 0x07, 0xd0, 0, 10, 0, 0, 'h', 'i'};
	struct ts_ip src = ts_ip_from_v4_host(0xc0000201);
	struct ts_ip dst = ts_ip_from_v4_host(0xc0000202);
	uint32_t sum = 0xc000 + 0x0201 + 0xc000 + 0x0202 + 17 + 10 + 0x03e8 +
		       0x07d0 + 10 + 0x6869;

	(void)state;
	sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal(stack_sum_finish(stack_sum_pseudo(&src, &dst, 17, 10) +
					  stack_sum(udp, sizeof(udp))),
			 (uint16_t)~sum);
}

static void isn_moves_with_the_clock_and_differs_by_tuple(void **state)
{
	uint8_t key[STACK_ISN_KEY_LEN] = {1}, other[STACK_ISN_KEY_LEN] = {2};
	uint32_t a = stack_isn(key, "tuple", 5, 1000);

	(void)state;
	assert_int_equal(stack_isn(key, "tuple", 5, 1001) - a, 15625);
	assert_int_not_equal(stack_isn(key, "tuplf", 5, 1000), a);
	assert_int_not_equal(stack_isn(other, "tuple", 5, 1000), a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc_1071_example),
		cmocka_unit_test(
			same_as_the_simple_one_at_each_length_and_offset),
		cmocka_unit_test(all_ones_do_not_overflow),
		cmocka_unit_test(pseudo_header_of_a_udp_packet),
		cmocka_unit_test(isn_moves_with_the_clock_and_differs_by_tuple),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

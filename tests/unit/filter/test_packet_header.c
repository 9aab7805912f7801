/* SPDX-License-Identifier: BSD-3-Clause
 * test_packet_header.c - inner packets, whole, cut and fragmented
 */
#include "rules.h"

#include <errno.h>

#include "core/filter/ip_proto.h"

static const uint8_t tcp4[] = {
	0x45, 0, 0,   40, 0,    1,    0,    0,    64, 6,  0, 0, 100, 64,
	0,    1, 100, 64, 0,    2,    0x13, 0x88, 0,  80, 0, 0, 0,   1,
	0,    0, 0,   0,  0x50, 0x02, 0xff, 0xff, 0,  0,  0, 0};
static const uint8_t udp6[] = {
	0x60, 0, 0, 0, 0, 8, 17, 64, 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0, 0,
	0,    0, 0, 0, 0, 0, 0,  1,  0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0, 0,
	0,    0, 0, 0, 0, 0, 0,  2,  0,    53,   0x13, 0x88, 0,    8,    0, 0};
/* Built by upstream's net/packet: flow 100.64.0.1:5000 -> 100.64.0.2:80. */
static const uint8_t tsmp4[] = {0x45, 0,    0,    0x1b, 0,    0,    0,
				0,    0x40, 0x63, 0xb1, 0xfd, 0x64, 0x40,
				0,    2,    0x64, 0x40, 0,    1,    0x21,
				0x06, 0x41, 0x13, 0x88, 0,    0x50};

static struct ts_packet_header h;

static int read_with(const uint8_t *pkt, size_t len, size_t at, uint8_t value)
{
	uint8_t copy[64];

	memcpy(copy, pkt, len);
	copy[at] = value;
	return ts_packet_header_read(copy, len, &h);
}

static void tcp_over_v4_is_read(void **state)
{
	struct ts_ip src = ip_of("100.64.0.1"), dst = ip_of("100.64.0.2");

	(void)state;
	assert_int_equal(ts_packet_header_read(tcp4, sizeof(tcp4), &h), 0);
	assert_true(ts_ip_equal(&h.src, &src));
	assert_true(ts_ip_equal(&h.dst, &dst));
	assert_int_equal(h.proto, IPPROTO_TCP);
	assert_int_equal(h.src_port, 5000);
	assert_int_equal(h.dst_port, 80);
	assert_int_equal(h.tcp_flags, TCP_FLAG_SYN);
	assert_int_equal(h.l4_offset, 20);
	assert_false(h.is_fragment);
}

static void udp_over_v6_is_read(void **state)
{
	struct ts_ip src = ip_of("fd7a:115c:a1e0::1");

	(void)state;
	assert_int_equal(ts_packet_header_read(udp6, sizeof(udp6), &h), 0);
	assert_true(ts_ip_equal(&h.src, &src));
	assert_int_equal(h.src_port, 53);
	assert_int_equal(h.dst_port, 5000);
	assert_int_equal(h.l4_offset, 40);
}

static void tsmp_of_upstream_is_read(void **state)
{
	(void)state;
	assert_int_equal(ts_packet_header_read(tsmp4, sizeof(tsmp4), &h), 0);
	assert_int_equal(h.proto, TS_IPPROTO_TSMP);
	assert_int_equal(read_with(tsmp4, sizeof(tsmp4), 6, 0x20), -EBADMSG);
}

static void every_cut_is_badmsg(void **state)
{
	(void)state;
	for (size_t cut = 0; cut < sizeof(tcp4); cut++)
		assert_int_equal(ts_packet_header_read(tcp4, cut, &h),
				 -EBADMSG);
	for (size_t cut = 0; cut < sizeof(udp6); cut++)
		assert_int_equal(ts_packet_header_read(udp6, cut, &h),
				 -EBADMSG);
	for (size_t cut = 0; cut < sizeof(tsmp4); cut++)
		assert_int_equal(ts_packet_header_read(tsmp4, cut, &h),
				 -EBADMSG);
}

/* The length field rules, not what the buffer happens to hold. */
static void short_total_length_hides_no_header(void **state)
{
	(void)state;
	for (uint8_t total = 0; total < 40; total++)
		assert_int_equal(read_with(tcp4, sizeof(tcp4), 3, total),
				 -EBADMSG);
	for (uint8_t body = 0; body < 8; body++)
		assert_int_equal(read_with(udp6, sizeof(udp6), 5, body),
				 -EBADMSG);
	assert_int_equal(read_with(tcp4, sizeof(tcp4), 3, 41), -EBADMSG);
}

static void bad_versions_and_header_lengths_are_badmsg(void **state)
{
	(void)state;
	assert_int_equal(read_with(tcp4, sizeof(tcp4), 0, 0x55), -EBADMSG);
	assert_int_equal(read_with(tcp4, sizeof(tcp4), 0, 0x44), -EBADMSG);
	assert_int_equal(read_with(tcp4, sizeof(tcp4), 0, 0x4f), -EBADMSG);
	assert_int_equal(read_with(tcp4, sizeof(tcp4), 9, 0), -EBADMSG);
	assert_int_equal(read_with(tcp4, sizeof(tcp4), 9, 255), -EBADMSG);
}

static void later_fragments_have_no_ports(void **state)
{
	(void)state;
	assert_int_equal(read_with(tcp4, sizeof(tcp4), 7, 100), 0);
	assert_true(h.is_fragment);
	assert_int_equal(h.dst_port, 0);
}

/* RFC 1858: rewriting the first fragment's header by an overlap. */
static void fragments_inside_a_header_are_badmsg(void **state)
{
	(void)state;
	for (uint8_t offset = 1; offset < 10; offset++)
		assert_int_equal(read_with(tcp4, sizeof(tcp4), 7, offset),
				 -EBADMSG);
	assert_int_equal(read_with(tcp4, sizeof(tcp4), 7, 10), 0);
}

static void v6_fragment_header_is_stepped_over(void **state)
{
	uint8_t pkt[56];

	(void)state;
	memcpy(pkt, udp6, 40);
	memset(pkt + 40, 0, 8);
	memcpy(pkt + 48, udp6 + 40, 8);
	pkt[5] = 16;
	pkt[6] = 44;
	pkt[40] = 17;
	pkt[43] = 1; /* the first of more */
	assert_int_equal(ts_packet_header_read(pkt, sizeof(pkt), &h), 0);
	assert_int_equal(h.proto, IPPROTO_UDP);
	assert_int_equal(h.dst_port, 5000);
	assert_int_equal(h.l4_offset, 48);
	assert_false(h.is_fragment);
	pkt[43] = 8; /* offset 1 */
	assert_int_equal(ts_packet_header_read(pkt, sizeof(pkt), &h), -EBADMSG);
	pkt[43] = 10 << 3;
	assert_int_equal(ts_packet_header_read(pkt, sizeof(pkt), &h), 0);
	assert_true(h.is_fragment);
	pkt[5] = 7;
	assert_int_equal(ts_packet_header_read(pkt, sizeof(pkt), &h), -EBADMSG);
}

static void mapped_addresses_in_v6_are_badmsg(void **state)
{
	uint8_t pkt[sizeof(udp6)];
	struct ts_ip mapped = ip_of("100.64.0.1");

	(void)state;
	memcpy(pkt, udp6, sizeof(pkt));
	memcpy(pkt + 8, mapped.bytes, 16);
	assert_int_equal(ts_packet_header_read(pkt, sizeof(pkt), &h), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_over_v4_is_read),
		cmocka_unit_test(udp_over_v6_is_read),
		cmocka_unit_test(tsmp_of_upstream_is_read),
		cmocka_unit_test(every_cut_is_badmsg),
		cmocka_unit_test(short_total_length_hides_no_header),
		cmocka_unit_test(bad_versions_and_header_lengths_are_badmsg),
		cmocka_unit_test(later_fragments_have_no_ports),
		cmocka_unit_test(fragments_inside_a_header_are_badmsg),
		cmocka_unit_test(v6_fragment_header_is_stepped_over),
		cmocka_unit_test(mapped_addresses_in_v6_are_badmsg),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

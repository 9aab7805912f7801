/* SPDX-License-Identifier: BSD-3-Clause
 * test_portmap_wire.c - NAT-PMP and PCP, byte by byte as the RFCs draw them
 */
#include "unit/addresses.h"

#include <errno.h>
#include <string.h>

#include "core/path/portmap_wire.h"

/* -- requests ------------------------------------------------------------- */

/* RFC 6886, 3.2 and 3.3 */
static void nat_pmp_requests_are_as_the_rfc_draws_them(void **state)
{
	static const uint8_t external[] = {0, 0};
	static const uint8_t map[] = {0, 1, 0, 0, 0xa2, 0xb9, 0x9c, 0x40,
				      0, 0, 0x1c, 0x20};
	uint8_t out[PMP_MAP_REQUEST_LEN];

	(void)state;
	assert_int_equal(ts_pmp_write_external(out), sizeof(external));
	assert_memory_equal(out, external, sizeof(external));
	assert_int_equal(ts_pmp_write_map(41657, 40000, 7200, out),
			 sizeof(map));
	assert_memory_equal(out, map, sizeof(map));
}

/* RFC 6887, 7.1, 11.1 and 14.1.1 */
static void pcp_requests_are_as_the_rfc_draws_them(void **state)
{
	static const uint8_t announce[] = {
		2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0xff, 0xff, 192, 168, 1, 2};
	static const uint8_t map[] = {
		2, 1, 0, 0, 0, 0, 0x1c, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0xff, 0xff, 192, 168, 1, 2,
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 0, 0, 0,
		0xa2, 0xb9, 0, 0,
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0};
	struct ts_pcp_map m = {
		.client = ip_of("192.168.1.2"),
		.nonce = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
		.internal_port = 41657,
		.lifetime_s = 7200,
	};
	uint8_t out[PCP_MAP_REQUEST_LEN];

	(void)state;
	assert_int_equal(ts_pcp_write_announce(&m.client, out),
			 sizeof(announce));
	assert_memory_equal(out, announce, sizeof(announce));
	assert_int_equal(ts_pcp_write_map(&m, out), sizeof(map));
	assert_memory_equal(out, map, sizeof(map));
	m.external =
		(struct ts_addr){.ip = ip_of("203.0.113.9"), .port = 40000};
	ts_pcp_write_map(&m, out);
	assert_memory_equal(out + 42, "\x9c\x40", 2);
	assert_memory_equal(out + 56, "\xcb\x00\x71\x09", 4);
}

/* -- responses ------------------------------------------------------------ */

static const uint8_t pmp_external[] = {0, 128, 0, 0, 0, 0, 4, 210,
				       203, 0, 113, 9};
static const uint8_t pmp_map[] = {0, 129, 0, 0, 0, 0, 4, 210, 0xa2, 0xb9,
				  0x9c, 0x40, 0, 0, 0x0e, 0x10};
static const uint8_t pcp_announce[] = {
	2, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 4, 210, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0};
static const uint8_t pcp_map[] = {
	2, 0x81, 0, 0, 0, 0, 0x0e, 0x10, 0, 0, 4, 210, 0, 0, 0, 0, 0, 0, 0, 0,
	0, 0, 0, 0,
	1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17, 0, 0, 0,
	0xa2, 0xb9, 0x9c, 0x40,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 203, 0, 113, 9};

static void nat_pmp_responses_are_read(void **state)
{
	struct ts_pxp_response r;
	struct ts_ip there = ip_of("203.0.113.9");

	(void)state;
	assert_int_equal(ts_pxp_read_response(pmp_external,
					      sizeof(pmp_external), &r), 0);
	assert_int_equal(r.kind, PMP_EXTERNAL);
	assert_int_equal(r.result, 0);
	assert_int_equal(r.epoch_s, 1234);
	assert_true(ts_ip_equal(&r.external.ip, &there));
	assert_int_equal(ts_pxp_read_response(pmp_map, sizeof(pmp_map), &r), 0);
	assert_int_equal(r.kind, PMP_MAP);
	assert_int_equal(r.internal_port, 41657);
	assert_int_equal(r.external.port, 40000);
	assert_int_equal(r.lifetime_s, 3600);
}

static void pcp_responses_are_read(void **state)
{
	struct ts_pxp_response r;
	struct ts_ip there = ip_of("203.0.113.9");

	(void)state;
	assert_int_equal(ts_pxp_read_response(pcp_announce,
					      sizeof(pcp_announce), &r), 0);
	assert_int_equal(r.kind, PCP_ANNOUNCE);
	assert_int_equal(r.epoch_s, 1234);
	assert_int_equal(ts_pxp_read_response(pcp_map, sizeof(pcp_map), &r), 0);
	assert_int_equal(r.kind, PCP_MAP);
	assert_int_equal(r.lifetime_s, 3600);
	assert_int_equal(r.internal_port, 41657);
	assert_int_equal(r.external.port, 40000);
	assert_true(ts_ip_equal(&r.external.ip, &there));
	assert_memory_equal(r.nonce, "\1\2\3\4\5\6\7\10\11\12\13\14", 12);
}

static void a_response_cut_anywhere_is_none(void **state)
{
	static const struct {
		const uint8_t *bytes;
		size_t len;
	} whole[] = {{pmp_external, sizeof(pmp_external)},
		     {pmp_map, sizeof(pmp_map)},
		     {pcp_announce, sizeof(pcp_announce)},
		     {pcp_map, sizeof(pcp_map)}};
	struct ts_pxp_response r, untouched;

	(void)state;
	memset(&r, 0x55, sizeof(r));
	untouched = r;
	for (size_t i = 0; i < 4; i++)
		for (size_t cut = 0; cut < whole[i].len; cut++) {
			assert_int_equal(ts_pxp_read_response(whole[i].bytes,
							      cut, &r),
					 -EBADMSG);
			assert_memory_equal(&r, &untouched, sizeof(r));
		}
}

static int read_changed(const uint8_t *bytes, size_t len, size_t at,
			uint8_t value, struct ts_pxp_response *out)
{
	uint8_t copy[64];

	memcpy(copy, bytes, len);
	copy[at] = value;
	return ts_pxp_read_response(copy, len, out);
}

static void what_is_no_response_of_ours_is_refused(void **state)
{
	struct ts_pxp_response r;
	uint8_t longer[sizeof(pmp_map) + 1] = {0};

	(void)state;
	/* versions, requests, TCP's op code, TCP's protocol number */
	assert_int_equal(read_changed(pmp_map, 16, 0, 1, &r), -EBADMSG);
	assert_int_equal(read_changed(pmp_map, 16, 1, 1, &r), -EBADMSG);
	assert_int_equal(read_changed(pmp_map, 16, 1, 130, &r), -EBADMSG);
	assert_int_equal(read_changed(pcp_map, 60, 1, 1, &r), -EBADMSG);
	assert_int_equal(read_changed(pcp_map, 60, 1, 0x82, &r), -EBADMSG);
	assert_int_equal(read_changed(pcp_map, 60, 36, 6, &r), -EBADMSG);
	memcpy(longer, pmp_map, sizeof(pmp_map));
	assert_int_equal(ts_pxp_read_response(longer, sizeof(longer), &r),
			 -EBADMSG);
}

static void errors_are_read_without_what_would_follow(void **state)
{
	static const uint8_t unsupported[] = {0, 128, 0, 1, 0, 0, 4, 210};
	struct ts_pxp_response r;

	(void)state;
	assert_int_equal(ts_pxp_read_response(unsupported, 8, &r), 0);
	assert_int_equal(r.kind, PMP_EXTERNAL);
	assert_int_equal(r.result, PMP_UNSUPPORTED_VERSION);
	assert_int_equal(read_changed(pmp_map, 16, 3, 2, &r), 0);
	assert_int_equal(r.result, PMP_NOT_AUTHORIZED);
	assert_int_equal(read_changed(pcp_map, 60, 3, 12, &r), 0);
	assert_int_equal(r.result, PCP_ADDRESS_MISMATCH);
}

static void options_after_a_pcp_map_are_passed_over(void **state)
{
	uint8_t with_option[64];
	struct ts_pxp_response r;

	(void)state;
	memcpy(with_option, pcp_map, sizeof(pcp_map));
	memcpy(with_option + 60, "\x02\x00\x00\x00", 4);
	assert_int_equal(ts_pxp_read_response(with_option, 64, &r), 0);
	assert_int_equal(r.external.port, 40000);
	assert_int_equal(ts_pxp_read_response(with_option, 63, &r), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nat_pmp_requests_are_as_the_rfc_draws_them),
		cmocka_unit_test(pcp_requests_are_as_the_rfc_draws_them),
		cmocka_unit_test(nat_pmp_responses_are_read),
		cmocka_unit_test(pcp_responses_are_read),
		cmocka_unit_test(a_response_cut_anywhere_is_none),
		cmocka_unit_test(what_is_no_response_of_ours_is_refused),
		cmocka_unit_test(errors_are_read_without_what_would_follow),
		cmocka_unit_test(options_after_a_pcp_map_are_passed_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

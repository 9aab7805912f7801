/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The request vector was made with the upstream Go code; the response ones are
 * RFC 5769 2.2 and 2.3, sample IPv4 and IPv6 responses.
 */
#include "unit/path/bytes.h"

#include <errno.h>

#include "core/path/stun.h"

static const char request_hex[] = "000100142112a442000102030405060708090a0b"
				  "802200087461696c6e6f6465802800048aabad90";

static const char rfc_v4_hex[] =
	"0101003c2112a442b7e7a701bc34d686fa87dfae"
	"8022000b7465737420766563746f7220"
	"002000080001a147e112a643"
	"000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
	"80280004c07d4c96";
static const char rfc_v6_hex[] =
	"010100482112a442b7e7a701bc34d686fa87dfae"
	"8022000b7465737420766563746f7220"
	"002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
	"00080014a382954e4be67bf11784c97c8292c275bfe3ed41"
	"80280004c8fb0b4c";

static void the_request_vector_is_written_byte_for_byte(void **state)
{
	uint8_t want[64], out[STUN_REQUEST_LEN], tx_id[STUN_TX_ID_LEN];
	size_t len = from_hex(request_hex, want, sizeof(want));
	uint8_t got[STUN_TX_ID_LEN];

	(void)state;
	for (uint8_t i = 0; i < STUN_TX_ID_LEN; i++)
		tx_id[i] = i;
	ts_stun_write_request(tx_id, out);
	assert_int_equal(len, STUN_REQUEST_LEN);
	assert_memory_equal(out, want, len);
	assert_int_equal(ts_stun_read_request(want, len, got), 0);
	assert_memory_equal(got, tx_id, STUN_TX_ID_LEN);
}

static void a_request_cut_or_changed_is_refused(void **state)
{
	uint8_t pkt[64], tx_id[STUN_TX_ID_LEN];
	size_t len = from_hex(request_hex, pkt, sizeof(pkt));

	(void)state;
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(ts_stun_read_request(pkt, cut, tx_id),
				 -EBADMSG);
	for (size_t i = 0; i < len; i++) {
		pkt[i] ^= 0x10;
		assert_int_equal(ts_stun_read_request(pkt, len, tx_id),
				 -EBADMSG);
		pkt[i] ^= 0x10;
	}
}

static void the_rfc_responses_are_read(void **state)
{
	uint8_t pkt[128], tx_id[STUN_TX_ID_LEN];
	char text[TS_ADDR_TEXT_CAP];
	struct ts_addr addr;
	size_t len;

	(void)state;
	len = from_hex(rfc_v4_hex, pkt, sizeof(pkt));
	assert_true(ts_stun_is_packet(pkt, len));
	assert_int_equal(ts_stun_read_response(pkt, len, tx_id, &addr), 0);
	assert_string_equal(ts_addr_format(&addr, text), "192.0.2.1:32853");
	assert_memory_equal(tx_id, pkt + 8, STUN_TX_ID_LEN);
	len = from_hex(rfc_v6_hex, pkt, sizeof(pkt));
	assert_int_equal(ts_stun_read_response(pkt, len, tx_id, &addr), 0);
	assert_string_equal(ts_addr_format(&addr, text),
			    "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
}

static void our_responses_are_read_by_us(void **state)
{
	static const char *const texts[] = {"1.2.3.4:5", "[2001:db8::1]:65535"};
	uint8_t tx_id[STUN_TX_ID_LEN] = "abcdefghijkl", got[STUN_TX_ID_LEN];
	uint8_t pkt[STUN_RESPONSE_MAX_LEN];
	struct ts_addr addr, back;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		size_t len;

		assert_int_equal(ts_addr_parse(texts[i], &addr), 0);
		len = ts_stun_write_response(tx_id, &addr, pkt);
		assert_int_equal(len, i == 0 ? 32 : 44);
		assert_int_equal(ts_stun_read_response(pkt, len, got, &back),
				 0);
		assert_true(ts_addr_equal(&addr, &back));
		assert_memory_equal(got, tx_id, STUN_TX_ID_LEN);
		for (size_t cut = 0; cut < len; cut++)
			assert_int_equal(
				ts_stun_read_response(pkt, cut, got, &back),
				-EBADMSG);
	}
}

static void a_plain_mapped_address_is_second_choice(void **state)
{
	uint8_t pkt[64], tx_id[STUN_TX_ID_LEN];
	char text[TS_ADDR_TEXT_CAP];
	struct ts_addr addr;
	size_t len;

	(void)state;
	len = from_hex("0101000c2112a442000102030405060708090a0b"
		       "000100080001100001020304",
		       pkt, sizeof(pkt));
	assert_int_equal(ts_stun_read_response(pkt, len, tx_id, &addr), 0);
	assert_string_equal(ts_addr_format(&addr, text), "1.2.3.4:4096");
	len = from_hex("010100182112a442000102030405060708090a0b"
		       "000100080001100001020304"
		       "802000080001a147e112a643",
		       pkt, sizeof(pkt));
	assert_int_equal(ts_stun_read_response(pkt, len, tx_id, &addr), 0);
	assert_string_equal(ts_addr_format(&addr, text), "192.0.2.1:32853");
}

static void hostile_responses_are_badmsg(void **state)
{
	static const char *const bad[] = {
		/* no attribute */
		"010100002112a442000102030405060708090a0b",
		/* error response */
		"011100002112a442000102030405060708090a0b",
		/* length beyond the packet */
		"0101000d2112a442000102030405060708090a0b"
		"000100080001100001020304",
		/* attribute beyond the message */
		"0101000c2112a442000102030405060708090a0b"
		"000100100001100001020304",
		/* family that is none */
		"0101000c2112a442000102030405060708090a0b"
		"000100080003100001020304",
		/* IPv6 family, IPv4 length */
		"0101000c2112a442000102030405060708090a0b"
		"000100080002100001020304",
		/* port 0 */
		"0101000c2112a442000102030405060708090a0b"
		"000100080001000001020304",
	};
	uint8_t pkt[64], tx_id[STUN_TX_ID_LEN];
	struct ts_addr addr;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t len = from_hex(bad[i], pkt, sizeof(pkt));

		assert_int_equal(ts_stun_read_response(pkt, len, tx_id, &addr),
				 -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_request_vector_is_written_byte_for_byte),
		cmocka_unit_test(a_request_cut_or_changed_is_refused),
		cmocka_unit_test(the_rfc_responses_are_read),
		cmocka_unit_test(our_responses_are_read_by_us),
		cmocka_unit_test(a_plain_mapped_address_is_second_choice),
		cmocka_unit_test(hostile_responses_are_badmsg),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

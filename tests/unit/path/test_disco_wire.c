/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The ping and pong vectors were made with the upstream Go code: disco
 * private keys A (sender) and B, TxID 00..0b, fixed nonce.
 */
#include "unit/path/bytes.h"

#include <errno.h>
#include <sodium.h>

#include "core/crypto/secret.h"
#include "core/path/disco_wire.h"

static const char a_hex[] =
	"0002030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f60";
static const char b_hex[] =
	"2022232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40";
static const char node_hex[] =
	"d89e3bad79437dbed9f843418304f460ff05c7fe81fe4a9577a804cb9367ff66";
static const char ping_hex[] =
	"5453f09f92ac"
	"07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c"
	"e0e1e2e3e4e5e6e7e8e9eaebecedeeefe0e1e2e3e4e5e6e7"
	"4f23025f99c1263eca217ae57024c50257d43f2691e632893d9abc1c35a9f7e8"
	"700b30409b0036753476845ef01995964f1e4fcf7f104ca6c59424a4a122";
static const char pong_hex[] =
	"0200000102030405060708090a0b00000000000000000000ffff01020304a2a9";

static void make_box(struct ts_box *box, const char *mine, const char *theirs)
{
	struct ts_private_key private_key, other;
	struct ts_public_key public_key;

	assert_int_equal(ts_crypto_init(), 0);
	from_hex(mine, private_key.bytes, TS_KEY_LEN);
	from_hex(theirs, other.bytes, TS_KEY_LEN);
	ts_public_key_from_private(&other, &public_key);
	assert_int_equal(ts_box_init(box, &private_key, &public_key), 0);
}

static struct ts_disco_message vector_ping(void)
{
	struct ts_disco_message msg = {.type = DISCO_PING};

	for (uint8_t i = 0; i < DISCO_TX_ID_LEN; i++)
		msg.ping.tx_id[i] = i;
	from_hex(node_hex, msg.ping.node_key.bytes, TS_KEY_LEN);
	return msg;
}

static void the_ping_vector_opens(void **state)
{
	struct ts_disco_message want = vector_ping(), got;
	uint8_t pkt[256], payload[DISCO_PAYLOAD_MAX_LEN];
	size_t len = from_hex(ping_hex, pkt, sizeof(pkt)), payload_len;
	struct ts_private_key a;
	struct ts_public_key sender, a_public;
	struct ts_box box;

	(void)state;
	make_box(&box, b_hex, a_hex);
	assert_int_equal(len, 124);
	assert_true(ts_disco_is_packet(pkt, len));
	assert_int_equal(ts_datagram_kind(pkt, len), DATAGRAM_DISCO);
	ts_disco_read_sender(pkt, &sender);
	from_hex(a_hex, a.bytes, TS_KEY_LEN);
	ts_public_key_from_private(&a, &a_public);
	assert_true(ts_public_key_equal(&sender, &a_public));
	assert_int_equal(ts_disco_unseal(pkt, len, &box, payload, &payload_len),
			 0);
	assert_int_equal(ts_disco_read(payload, payload_len, &got), 0);
	assert_int_equal(got.type, DISCO_PING);
	assert_memory_equal(got.ping.tx_id, want.ping.tx_id, DISCO_TX_ID_LEN);
	assert_true(
		ts_public_key_equal(&got.ping.node_key, &want.ping.node_key));
}

static void the_ping_vector_is_written_byte_for_byte(void **state)
{
	struct ts_disco_message msg = vector_ping();
	uint8_t want[256], pkt[256], payload[128];
	struct ts_writer w = ts_writer_init(payload, sizeof(payload));
	size_t len = from_hex(ping_hex, want, sizeof(want));
	struct ts_public_key sender;
	struct ts_writer out = ts_writer_init(pkt, sizeof(pkt));
	struct ts_box box;

	(void)state;
	make_box(&box, a_hex, b_hex);
	assert_int_equal(ts_disco_write(&w, &msg), 0);
	/* The payload under the vector's nonce gives the vector's box. */
	assert_int_equal(crypto_box_easy_afternm(pkt, payload, w.len,
						 want + DISCO_HEADER_LEN,
						 box.shared),
			 0);
	assert_int_equal(w.len + TS_BOX_MAC_LEN + DISCO_PACKET_MIN_LEN, len);
	assert_memory_equal(pkt, want + DISCO_PACKET_MIN_LEN,
			    w.len + TS_BOX_MAC_LEN);
	/* The envelope around it. */
	ts_disco_read_sender(want, &sender);
	assert_int_equal(ts_disco_seal(&out, &sender, &box, payload, w.len), 0);
	assert_int_equal(out.len, len);
	assert_memory_equal(pkt, want, DISCO_HEADER_LEN);
}

static void the_pong_vector_reads_and_writes(void **state)
{
	uint8_t want[64], out[64];
	size_t len = from_hex(pong_hex, want, sizeof(want));
	struct ts_writer w = ts_writer_init(out, sizeof(out));
	struct ts_disco_message msg;
	char text[TS_ADDR_TEXT_CAP];

	(void)state;
	assert_int_equal(ts_disco_read(want, len, &msg), 0);
	assert_int_equal(msg.type, DISCO_PONG);
	assert_string_equal(ts_addr_format(&msg.pong.src, text),
			    "1.2.3.4:41641");
	assert_int_equal(ts_disco_write(&w, &msg), 0);
	assert_int_equal(w.len, len);
	assert_memory_equal(out, want, len);
}

static void the_geneve_vector_reads_and_writes(void **state)
{
	uint8_t want[8], out[8];
	struct ts_writer w = ts_writer_init(out, sizeof(out));
	struct ts_geneve geneve;
	struct ts_reader r;

	(void)state;
	from_hex("00807a1101020300", want, sizeof(want));
	r = ts_reader_init(want, sizeof(want));
	assert_int_equal(ts_geneve_read(&r, &geneve), 0);
	assert_true(geneve.control);
	assert_int_equal(geneve.proto, GENEVE_PROTO_DISCO);
	assert_int_equal(geneve.vni, 0x010203);
	assert_int_equal(ts_geneve_write(&w, &geneve), 0);
	assert_memory_equal(out, want, sizeof(want));
	for (size_t cut = 0; cut < sizeof(want); cut++) {
		r = ts_reader_init(want, cut);
		assert_int_equal(ts_geneve_read(&r, &geneve), -EBADMSG);
	}
	geneve.vni = 0;
	w = ts_writer_init(out, sizeof(out));
	assert_int_equal(ts_geneve_write(&w, &geneve), -EBADMSG);
}

/* One of each type, with every field set. */
static struct ts_disco_message sample(enum ts_disco_type type)
{
	struct ts_disco_message msg;

	memset(&msg, 0, sizeof(msg));
	msg.type = type;
	switch (type) {
	case DISCO_PING:
		return vector_ping();
	case DISCO_PONG:
		memset(&msg.pong, 3, sizeof(msg.pong));
		break;
	case DISCO_CALL_ME_MAYBE:
		memset(msg.call_me_maybe.addrs, 4, 2 * DISCO_ENDPOINT_LEN);
		msg.call_me_maybe.count = 2;
		break;
	case DISCO_BIND_RELAY:
	case DISCO_BIND_RELAY_CHALLENGE:
	case DISCO_BIND_RELAY_ANSWER:
		memset(&msg.bind_relay, 5, sizeof(msg.bind_relay));
		break;
	case DISCO_CALL_ME_MAYBE_VIA:
		memset(&msg.call_me_maybe_via, 6,
		       offsetof(struct ts_disco_relay_endpoint, vni));
		msg.call_me_maybe_via.vni = 0x0a0b0c;
		memset(msg.call_me_maybe_via.addrs.addrs, 7,
		       DISCO_ENDPOINT_LEN);
		msg.call_me_maybe_via.addrs.count = 1;
		break;
	case DISCO_ALLOCATE_RELAY_REQUEST:
		memset(&msg.allocate_relay, 8, sizeof(msg.allocate_relay));
		break;
	case DISCO_ALLOCATE_RELAY_RESPONSE:
		msg.allocated_relay.generation = 9;
		msg.allocated_relay.endpoint.bind_lifetime_ns = 1;
		msg.allocated_relay.endpoint.addrs.count = 3;
		memset(msg.allocated_relay.endpoint.addrs.addrs, 7,
		       3 * DISCO_ENDPOINT_LEN);
		break;
	}
	return msg;
}

static void every_type_round_trips(void **state)
{
	(void)state;
	for (int type = DISCO_PING; type <= DISCO_ALLOCATE_RELAY_RESPONSE;
	     type++) {
		struct ts_disco_message msg = sample((enum ts_disco_type)type);
		struct ts_disco_message got;
		uint8_t buf[512], again[512];
		struct ts_writer w = ts_writer_init(buf, sizeof(buf));
		struct ts_writer w2 = ts_writer_init(again, sizeof(again));

		assert_int_equal(ts_disco_write(&w, &msg), 0);
		assert_int_equal(ts_disco_read(buf, w.len, &got), 0);
		assert_int_equal(ts_disco_write(&w2, &got), 0);
		assert_int_equal(w.len, w2.len);
		assert_memory_equal(buf, again, w.len);
		/* No room at each length. */
		for (size_t cap = 0; cap < w.len; cap++) {
			w2 = ts_writer_init(again, cap);
			assert_int_equal(ts_disco_write(&w2, &msg), -ENOBUFS);
		}
	}
}

static void every_type_cut_short_is_badmsg(void **state)
{
	/* What may be cut: a ping's node key, a list of endpoints. */
	static const size_t optional[] = {
		[DISCO_PING] = TS_KEY_LEN,
		[DISCO_CALL_ME_MAYBE] = 2 * DISCO_ENDPOINT_LEN,
		[DISCO_ALLOCATE_RELAY_RESPONSE] = 2 * DISCO_ENDPOINT_LEN,
	};

	(void)state;
	for (int type = DISCO_PING; type <= DISCO_ALLOCATE_RELAY_RESPONSE;
	     type++) {
		struct ts_disco_message msg = sample((enum ts_disco_type)type);
		struct ts_disco_message got;
		size_t may_cut =
			type < (int)(sizeof(optional) / sizeof(optional[0]))
				? optional[type]
				: 0;
		uint8_t buf[512];
		struct ts_writer w = ts_writer_init(buf, sizeof(buf));

		assert_int_equal(ts_disco_write(&w, &msg), 0);
		for (size_t cut = 0; cut < w.len; cut++) {
			int err = ts_disco_read(buf, cut, &got);

			if (cut < w.len - may_cut)
				assert_int_equal(err, -EBADMSG);
			else if (type == DISCO_ALLOCATE_RELAY_RESPONSE)
				assert_int_equal(
					err, (w.len - cut) % DISCO_ENDPOINT_LEN
						     ? -EBADMSG
						     : 0);
			else
				assert_int_equal(err, 0);
		}
	}
}

static void a_call_me_maybe_of_odd_length_has_no_endpoints(void **state)
{
	uint8_t buf[2 + 2 * DISCO_ENDPOINT_LEN + 1] = {DISCO_CALL_ME_MAYBE};
	struct ts_disco_message msg;

	(void)state;
	assert_int_equal(ts_disco_read(buf, sizeof(buf) - 1, &msg), 0);
	assert_int_equal(msg.call_me_maybe.count, 2);
	assert_int_equal(ts_disco_read(buf, sizeof(buf), &msg), 0);
	assert_int_equal(msg.call_me_maybe.count, 0);
	buf[1] = 1; /* another version */
	assert_int_equal(ts_disco_read(buf, sizeof(buf) - 1, &msg), 0);
	assert_int_equal(msg.call_me_maybe.count, 0);
}

static void endpoints_beyond_the_limit_are_ignored(void **state)
{
	static uint8_t buf[2 + 500 * DISCO_ENDPOINT_LEN] = {
		DISCO_CALL_ME_MAYBE};
	struct ts_disco_message msg;
	struct ts_writer w = ts_writer_init(buf, sizeof(buf));

	(void)state;
	assert_int_equal(ts_disco_read(buf, sizeof(buf), &msg), 0);
	assert_int_equal(msg.call_me_maybe.count, DISCO_ENDPOINTS_MAX);
	msg.call_me_maybe.count++;
	assert_int_equal(ts_disco_write(&w, &msg), -EMSGSIZE);
}

static void an_unknown_type_is_badmsg(void **state)
{
	uint8_t buf[64] = {10};
	struct ts_disco_message msg;

	(void)state;
	assert_int_equal(ts_disco_read(buf, sizeof(buf), &msg), -EBADMSG);
	buf[0] = 0;
	assert_int_equal(ts_disco_read(buf, sizeof(buf), &msg), -EBADMSG);
}

static void a_padded_ping_of_a_jumbo_frame_is_read(void **state)
{
	static uint8_t payload[DISCO_PAYLOAD_MAX_LEN];
	struct ts_disco_message msg = vector_ping(), got;
	struct ts_writer w = ts_writer_init(payload, sizeof(payload));

	(void)state;
	msg.ping.padding_len = 8000;
	assert_int_equal(ts_disco_write(&w, &msg), 0);
	assert_int_equal(w.len, 8046);
	assert_int_equal(ts_disco_read(payload, w.len, &got), 0);
	assert_true(
		ts_public_key_equal(&got.ping.node_key, &msg.ping.node_key));
}

static void a_packet_cut_or_changed_does_not_open(void **state)
{
	uint8_t pkt[256], payload[DISCO_PAYLOAD_MAX_LEN];
	size_t len = from_hex(ping_hex, pkt, sizeof(pkt)), payload_len;
	struct ts_box box, wrong;

	(void)state;
	make_box(&box, b_hex, a_hex);
	make_box(&wrong, b_hex, b_hex);
	assert_int_equal(
		ts_disco_unseal(pkt, len, &wrong, payload, &payload_len),
		-EACCES);
	for (size_t cut = 0; cut < len; cut++) {
		int err =
			ts_disco_unseal(pkt, cut, &box, payload, &payload_len);

		assert_int_equal(err, cut < DISCO_HEADER_LEN + TS_BOX_OVERHEAD
					      ? -EBADMSG
					      : -EACCES);
		assert_int_equal(ts_disco_is_packet(pkt, cut),
				 cut >= DISCO_PACKET_MIN_LEN);
	}
	for (size_t i = DISCO_HEADER_LEN; i < len; i++) {
		pkt[i] ^= 1;
		assert_int_equal(
			ts_disco_unseal(pkt, len, &box, payload, &payload_len),
			-EACCES);
		pkt[i] ^= 1;
	}
	assert_int_equal(ts_disco_unseal(pkt,
					 DISCO_HEADER_LEN + TS_BOX_OVERHEAD +
						 DISCO_PAYLOAD_MAX_LEN + 1,
					 &box, payload, &payload_len),
			 -EMSGSIZE);
}

static void datagrams_are_told_apart(void **state)
{
	uint8_t pkt[256] = {0};
	size_t len;

	(void)state;
	assert_int_equal(ts_datagram_kind(pkt, 0), DATAGRAM_WIREGUARD);
	for (uint8_t type = 1; type <= 4; type++) {
		pkt[0] = type;
		assert_int_equal(ts_datagram_kind(pkt, 148),
				 DATAGRAM_WIREGUARD);
	}
	len = from_hex("010100002112a442000102030405060708090a0b", pkt,
		       sizeof(pkt));
	assert_int_equal(ts_datagram_kind(pkt, len), DATAGRAM_STUN);
	assert_int_equal(ts_datagram_kind(pkt, len - 1), DATAGRAM_WIREGUARD);
	from_hex("00007a1201020300", pkt, sizeof(pkt));
	assert_int_equal(ts_datagram_kind(pkt, 100),
			 DATAGRAM_RELAYED_WIREGUARD);
	len = 8 + from_hex(ping_hex, pkt + 8, sizeof(pkt) - 8);
	from_hex("00007a1101020300", pkt, 8);
	assert_int_equal(ts_datagram_kind(pkt, len), DATAGRAM_RELAYED_DISCO);
	pkt[8] ^= 1;
	assert_int_equal(ts_datagram_kind(pkt, len), DATAGRAM_WIREGUARD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ping_vector_opens),
		cmocka_unit_test(the_ping_vector_is_written_byte_for_byte),
		cmocka_unit_test(the_pong_vector_reads_and_writes),
		cmocka_unit_test(the_geneve_vector_reads_and_writes),
		cmocka_unit_test(every_type_round_trips),
		cmocka_unit_test(every_type_cut_short_is_badmsg),
		cmocka_unit_test(
			a_call_me_maybe_of_odd_length_has_no_endpoints),
		cmocka_unit_test(endpoints_beyond_the_limit_are_ignored),
		cmocka_unit_test(an_unknown_type_is_badmsg),
		cmocka_unit_test(a_padded_ping_of_a_jumbo_frame_is_read),
		cmocka_unit_test(a_packet_cut_or_changed_does_not_open),
		cmocka_unit_test(datagrams_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

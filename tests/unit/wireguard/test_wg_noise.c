/* SPDX-License-Identifier: BSD-3-Clause
 * test_wg_noise.c - the handshake, against itself and against messages that
 * wireguard-go (golang.zx2c4.com/wireguard v0.0.0-20260522210424-ecfc5a8d5446)
 * sent to the fixed keys below
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/encode.h"
#include "core/crypto/secret.h"
#include "core/wireguard/wg_noise.h"

static const char our_key[] =
	"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f";
static const char go_key[] =
	"808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e5e";
static const char go_initiation[] =
	"01000000f489f77144a1d4f6bcfead03cb81d0cf184050239860960cfc102080"
	"0cb7b64056e6ab2ebad4fc3d528f2b3bde2259fef036bb624736866b67eadb1f"
	"973a092dec1386ac7a36e5ff4d81769eda54ffd3690c387857464a9f0901e91b"
	"8e0a2ff1aaca8928435f164b28abd57f4b95bc21edab534b7cc17e3c11cac400"
	"d429e71800000000000000000000000000000000";
/* Our side of another handshake after its initiation, and what answered. */
static const char our_hash[] =
	"c407bd5a11b1fb41a2cb93ba6720254908f8c4a8b78f2aff2718674c16e44f1d";
static const char our_chain_key[] =
	"68cb0852cb1057455d89da3ef52f99d6a155614698c3a1aaffa6b2735708cfa4";
static const char our_ephemeral[] =
	"48790052be0d35b3498f4bad1266e968b9f14e232e9ca3aa88390d1125b32341";
static const char go_response[] =
	"02000000a1da9e421a8aacd8a5a36f72ef81d0765314c9e6f7d1d163cecfb2f5"
	"99c9b9106a82d92ebcdb135a8708284e9d6530b151e4c2d6fdfdc2c3508548b2"
	"1ae4a5cd66cdcffee5c1d94000000000000000000000000000000000";
/* The first packet under its keys: our 100-byte IPv4 packet, echoed. */
static const char go_transport[] =
	"040000001a8aacd800000000000000007cdc95d8bfb912728c84653c553bce52"
	"2ae5b7cbf5162d3abfae56077ddf7282516853c696080eae18ab88e530fea593"
	"92863c3eed9ebba073edb2e169812a42beacd2b1b53e339f6cb5d1b448c3eff7"
	"96f1d6efceaa2ae022686156f7aa5354084c2115bf7a7fae97ace517f5179b9a"
	"413e74bdbaab37a4c5fee71d68bde4d3";

static struct ts_wg_identity a, b;
static struct ts_wg_remote a_to_b, b_to_a;
static uint8_t stamp[WG_TIMESTAMP_LEN];

static void from_hex(const char *text, void *out)
{
	assert_int_equal(
		ts_hex_decode(text, strlen(text), out, strlen(text) / 2), 0);
}

static int setup(void **state)
{
	struct ts_private_key key;

	(void)state;
	if (ts_crypto_init())
		return -1;
	from_hex(our_key, key.bytes);
	ts_wg_identity_init(&a, &key);
	from_hex(go_key, key.bytes);
	ts_wg_identity_init(&b, &key);
	ts_wg_timestamp(1790000000123456789, stamp);
	return ts_wg_remote_init(&a_to_b, &a, &b.public) ||
	       ts_wg_remote_init(&b_to_a, &b, &a.public);
}

static void initiation_of_wireguard_go_is_accepted(void **state)
{
	uint8_t bytes[WG_INITIATION_LEN], timestamp[WG_TIMESTAMP_LEN];
	struct ts_wg_initiation msg;
	struct ts_wg_handshake hs;
	struct ts_public_key claimed;

	(void)state;
	from_hex(go_initiation, bytes);
	assert_int_equal(ts_wg_read_initiation(bytes, sizeof(bytes), &msg), 0);
	assert_int_equal(ts_wg_initiation_open(&a, &msg, &hs, &claimed), 0);
	assert_true(ts_public_key_equal(&claimed, &b.public));
	assert_int_equal(ts_wg_initiation_verify(&a_to_b, &msg, &hs, timestamp),
			 0);
	assert_memory_equal(timestamp, "\x40\0\0\0", 4);
	assert_int_equal(timestamp[9] | timestamp[10] | timestamp[11], 0);
	assert_int_equal(hs.remote_index, msg.sender);
}

static void response_of_wireguard_go_is_accepted(void **state)
{
	uint8_t bytes[256], nonce[TS_AEAD_NONCE_LEN];
	struct ts_wg_response msg;
	struct ts_wg_handshake hs = {0};
	struct ts_wg_session_keys keys;
	struct ts_wg_transport header;
	size_t len = strlen(go_transport) / 2;

	(void)state;
	from_hex(our_hash, hs.hash);
	from_hex(our_chain_key, hs.chain_key);
	from_hex(our_ephemeral, hs.ephemeral.bytes);
	from_hex(go_response, bytes);
	assert_int_equal(ts_wg_read_response(bytes, WG_RESPONSE_LEN, &msg), 0);
	assert_int_equal(ts_wg_response_consume(&a, &msg, &hs), 0);
	ts_wg_handshake_split(&hs, true, &keys);
	from_hex(go_transport, bytes);
	assert_int_equal(ts_wg_read_transport(bytes, len, &header), 0);
	assert_int_equal(header.counter, 0);
	ts_nonce_le(header.counter, nonce);
	assert_int_equal(ts_aead_unseal_once(keys.receive, nonce, NULL, 0,
					     bytes + 16, len - 16, bytes + 16),
			 0);
	assert_int_equal(ts_wg_inner_len(bytes + 16, len - 32), 100);
}

struct run {
	struct ts_wg_handshake initiator, responder;
	struct ts_wg_initiation initiation;
	struct ts_wg_response response;
};

static int answer(struct run *run)
{
	struct ts_public_key claimed;
	uint8_t timestamp[WG_TIMESTAMP_LEN];
	int err = ts_wg_initiation_open(&b, &run->initiation, &run->responder,
					&claimed);

	if (!err)
		err = ts_wg_initiation_verify(&b_to_a, &run->initiation,
					      &run->responder, timestamp);
	return err;
}

static void start(struct run *run)
{
	assert_int_equal(ts_wg_initiation_create(&a, &a_to_b, 11, stamp,
						 &run->initiator,
						 &run->initiation),
			 0);
}

static void both_sides_get_the_same_keys(void **state)
{
	struct ts_wg_session_keys ka, kb;
	struct ts_wg_handshake spent = {.local_index = 11, .remote_index = 22};
	struct run run;

	(void)state;
	start(&run);
	assert_int_equal(answer(&run), 0);
	assert_int_equal(ts_wg_response_create(&b_to_a, 22, &run.responder,
					       &run.response),
			 0);
	assert_int_equal(
		ts_wg_response_consume(&a, &run.response, &run.initiator), 0);
	ts_wg_handshake_split(&run.initiator, true, &ka);
	ts_wg_handshake_split(&run.responder, false, &kb);
	assert_memory_equal(ka.send, kb.receive, 32);
	assert_memory_equal(ka.receive, kb.send, 32);
	assert_memory_not_equal(ka.send, ka.receive, 32);
	assert_memory_equal(&run.initiator, &spent, sizeof(spent));
}

static void changed_initiation_is_refused(void **state)
{
	struct run run;
	uint8_t *bytes = (uint8_t *)&run.initiation;

	(void)state;
	start(&run);
	/* All but the index, which only the MACs cover. */
	for (size_t at = sizeof(uint32_t); at < sizeof(run.initiation); at++) {
		bytes[at] ^= 0x10;
		assert_int_equal(answer(&run), -EACCES);
		bytes[at] ^= 0x10;
	}
	assert_int_equal(answer(&run), 0);
}

static void refused_response_leaves_no_trace(void **state)
{
	struct ts_wg_handshake before;
	struct run run;

	(void)state;
	start(&run);
	answer(&run);
	ts_wg_response_create(&b_to_a, 22, &run.responder, &run.response);
	before = run.initiator;
	for (size_t at = 0; at < TS_AEAD_TAG_LEN; at++) {
		run.response.sealed_empty[at] ^= 1;
		assert_int_equal(ts_wg_response_consume(&a, &run.response,
							&run.initiator),
				 -EACCES);
		assert_memory_equal(&before, &run.initiator, sizeof(before));
		run.response.sealed_empty[at] ^= 1;
	}
	memset(run.response.ephemeral.bytes, 0, TS_KEY_LEN); /* low order */
	assert_int_equal(
		ts_wg_response_consume(&a, &run.response, &run.initiator),
		-EACCES);
	assert_memory_equal(&before, &run.initiator, sizeof(before));
}

static void low_order_ephemeral_is_refused(void **state)
{
	struct run run;

	(void)state;
	start(&run);
	memset(run.initiation.ephemeral.bytes, 0, TS_KEY_LEN);
	assert_int_equal(answer(&run), -EACCES);
}

static void timestamps_are_tai64n_in_steps(void **state)
{
	uint8_t t1[WG_TIMESTAMP_LEN], t2[WG_TIMESTAMP_LEN];

	(void)state;
	ts_wg_timestamp(1234567890000000000, t1);
	/* 2^62 + 10 + 1234567890 */
	assert_memory_equal(t1, "\x40\0\0\0\x49\x96\x02\xdc\0\0\0\0", 12);
	ts_wg_timestamp(1234567890016777215, t2);
	assert_memory_equal(t1, t2, 12);
	ts_wg_timestamp(1234567890016777216, t2);
	assert_memory_equal(t2 + 8, "\x01\0\0\0", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(initiation_of_wireguard_go_is_accepted),
		cmocka_unit_test(response_of_wireguard_go_is_accepted),
		cmocka_unit_test(both_sides_get_the_same_keys),
		cmocka_unit_test(changed_initiation_is_refused),
		cmocka_unit_test(refused_response_leaves_no_trace),
		cmocka_unit_test(low_order_ephemeral_is_refused),
		cmocka_unit_test(timestamps_are_tai64n_in_steps),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

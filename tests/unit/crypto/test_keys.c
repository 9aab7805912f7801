/* SPDX-License-Identifier: BSD-3-Clause
 * test_keys.c - X25519 (RFC 7748 sections 5.2 and 6.1) and key text forms
 *
 * The machine key and the Ed25519 seed were run through upstream's types/key.
 */
#include "hex.h"

#include <errno.h>
#include <stdio.h>

#include "core/crypto/keys.h"
#include "core/crypto/secret.h"

static const char machine_private[] =
	"privkey:"
	"101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e6f";
static const char machine_public[] =
	"mkey:"
	"d89e3bad79437dbed9f843418304f460ff05c7fe81fe4a9577a804cb9367ff66";
static const char nl_private[] =
	"nlpriv:"
	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	"03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";

static void dh_gives(const char *scalar, const char *point, const char *want)
{
	struct ts_private_key mine;
	struct ts_public_key theirs;
	uint8_t out[32];

	from_hex(scalar, mine.bytes, 32);
	from_hex(point, theirs.bytes, 32);
	assert_int_equal(ts_dh(&mine, &theirs, out), 0);
	assert_hex(out, want);
}

static void rfc7748_vectors_multiply(void **state)
{
	(void)state;
	dh_gives("a546e36bf0527c9d3b16154b82465edd"
		 "62144c0ac1fc5a18506a2244ba449ac4",
		 "e6db6867583030db3594c1a424b15f7c"
		 "726624ec26b3353b10a903a6d0ab1c4c",
		 "c3da55379de9c6908e94ea4df28d084f"
		 "32eccf03491c71f754b4075577a28552");
	dh_gives("4b66e9d4d1b4673c5ad22691957d6af5"
		 "c11b6421e0ea01d42ca4169e7918ba0d",
		 "e5210f12786811d3f4b7959d0538ae2c"
		 "31dbe7106fc03c3efc4cd549c715a493",
		 "95cbde9476e8907d7aade45cb4b873f8"
		 "8b595a68799fa152e6f8f7647aac7957");
}

static void rfc7748_key_exchange_agrees(void **state)
{
	struct ts_private_key alice, bob;
	struct ts_public_key alice_public, bob_public;
	uint8_t shared[32];

	(void)state;
	from_hex("77076d0a7318a57d3c16c17251b26645"
		 "df4c2f87ebc0992ab177fba51db92c2a",
		 alice.bytes, 32);
	from_hex("5dab087e624a8a4b79e17f8b83800ee6"
		 "6f3bb1292618b6fd1c2f8b27ff88e0eb",
		 bob.bytes, 32);
	ts_public_key_from_private(&alice, &alice_public);
	ts_public_key_from_private(&bob, &bob_public);
	assert_hex(alice_public.bytes, "8520f0098930a754748b7ddcb43ef75a"
				       "0dbf3a0d26381af4eba4a98eaa9b4e6a");
	assert_hex(bob_public.bytes, "de9edb7d7b7dc1b4d35b61c2ece43537"
				     "3f8343c85b78674dadfc7e146f882b4f");
	assert_int_equal(ts_dh(&alice, &bob_public, shared), 0);
	assert_hex(shared, "4a5d9d5ba4ce2de1728e3bf480350f25"
			   "e07e21c947d19e3376f09b3c1e161742");
	assert_int_equal(ts_dh(&bob, &alice_public, shared), 0);
	assert_hex(shared, "4a5d9d5ba4ce2de1728e3bf480350f25"
			   "e07e21c947d19e3376f09b3c1e161742");
}

static void low_order_points_are_refused(void **state)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000"
		"000",
		"0100000000000000000000000000000000000000000000000000000000000"
		"000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b"
		"800",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
		"ff7f",
	};
	struct ts_private_key mine;

	(void)state;
	ts_private_key_generate(&mine);
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		struct ts_public_key point;
		uint8_t out[32], zero[32] = {0};

		from_hex(points[i], point.bytes, 32);
		assert_int_equal(ts_dh(&mine, &point, out), -EACCES);
		assert_memory_equal(out, zero, 32);
	}
}

static void generated_keys_are_clamped_and_differ(void **state)
{
	struct ts_private_key a, b;

	(void)state;
	ts_private_key_generate(&a);
	ts_private_key_generate(&b);
	assert_int_equal(a.bytes[0] & 7, 0);
	assert_int_equal(a.bytes[31] & 0xc0, 0x40);
	assert_memory_not_equal(&a, &b, sizeof(a));
	assert_false(ts_private_key_is_zero(&a));
}

static void text_forms_match_upstream(void **state)
{
	char text[TS_KEY_TEXT_CAP], brief[TS_KEY_SHORT_CAP];
	struct ts_private_key key;
	struct ts_public_key public, back;

	(void)state;
	assert_int_equal(ts_private_key_parse(machine_private, &key), 0);
	assert_string_equal(ts_private_key_format(&key, text), machine_private);
	ts_public_key_from_private(&key, &public);
	assert_string_equal(
		ts_public_key_format(&public, TS_PREFIX_MACHINE, text),
		machine_public);
	assert_int_equal(ts_public_key_parse(text, TS_PREFIX_MACHINE, &back),
			 0);
	assert_true(ts_public_key_equal(&back, &public));
	assert_string_equal(ts_public_key_short(&public, brief), "[2J47r]");
}

static void other_texts_are_refused(void **state)
{
	char text[TS_KEY_TEXT_CAP];
	struct ts_public_key key;
	struct ts_private_key private;

	(void)state;
	assert_int_equal(
		ts_public_key_parse(machine_public, TS_PREFIX_NODE, &key),
		-EBADMSG);
	for (size_t cut = 0; cut < strlen(machine_public); cut++) {
		snprintf(text, sizeof(text), "%.*s", (int)cut, machine_public);
		assert_int_equal(
			ts_public_key_parse(text, TS_PREFIX_MACHINE, &key),
			-EBADMSG);
	}
	snprintf(text, sizeof(text), "%s0", machine_public);
	assert_int_equal(ts_public_key_parse(text, TS_PREFIX_MACHINE, &key),
			 -EBADMSG);
	snprintf(text, sizeof(text), "%s", machine_public);
	text[20] = 'g';
	assert_int_equal(ts_public_key_parse(text, TS_PREFIX_MACHINE, &key),
			 -EBADMSG);
	assert_int_equal(ts_private_key_parse(machine_public, &private),
			 -EBADMSG);
}

static void upper_case_hex_is_read(void **state)
{
	struct ts_public_key key;

	(void)state;
	assert_int_equal(
		ts_public_key_parse("nodekey:D89E3BAD79437DBED9F843418304F460"
				    "FF05C7FE81FE4A9577A804CB9367FF66",
				    TS_PREFIX_NODE, &key),
		0);
	assert_int_equal(key.bytes[31], 0x66);
}

static void zero_keys_have_a_text_form(void **state)
{
	char text[TS_KEY_TEXT_CAP];
	struct ts_public_key zero = {{0}}, key;

	(void)state;
	ts_public_key_format(&zero, TS_PREFIX_NODE, text);
	assert_string_equal(text, "nodekey:00000000000000000000000000000000"
				  "00000000000000000000000000000000");
	assert_int_equal(ts_public_key_parse(text, TS_PREFIX_NODE, &key), 0);
	assert_true(ts_public_key_is_zero(&key));
}

static void nl_keys_parse_and_format(void **state)
{
	char text[TS_NLKEY_TEXT_CAP], public_text[TS_KEY_TEXT_CAP];
	struct ts_nl_private_key key;
	struct ts_public_key public, back;

	(void)state;
	assert_int_equal(ts_nl_key_parse(nl_private, &key), 0);
	assert_string_equal(ts_nl_key_format(&key, text), nl_private);
	ts_nl_public(&key, &public);
	ts_public_key_format(&public, TS_PREFIX_NL_PUBLIC, public_text);
	assert_int_equal(
		ts_public_key_parse(public_text, TS_PREFIX_NL_PUBLIC, &back),
		0);
	assert_true(ts_public_key_equal(&public, &back));
	memcpy(public_text, "tlpub:", 6); /* the CLI's spelling */
	assert_int_equal(
		ts_public_key_parse(public_text, TS_PREFIX_NL_PUBLIC, &back),
		0);
	ts_nl_key_generate(&key);
	ts_nl_key_format(&key, text);
	assert_int_equal(ts_nl_key_parse(text, &key), 0);
}

static void nl_key_with_a_foreign_public_half_is_refused(void **state)
{
	char text[TS_NLKEY_TEXT_CAP];
	struct ts_nl_private_key key;

	(void)state;
	snprintf(text, sizeof(text), "%s", nl_private);
	text[strlen(text) - 1] = '9';
	assert_int_equal(ts_nl_key_parse(text, &key), -EBADMSG);
	memset(text + strlen("nlpriv:"), '0', 128); /* upstream's "none" */
	assert_int_equal(ts_nl_key_parse(text, &key), 0);
}

static int setup(void **state)
{
	(void)state;
	return ts_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rfc7748_vectors_multiply),
		cmocka_unit_test(rfc7748_key_exchange_agrees),
		cmocka_unit_test(low_order_points_are_refused),
		cmocka_unit_test(generated_keys_are_clamped_and_differ),
		cmocka_unit_test(text_forms_match_upstream),
		cmocka_unit_test(other_texts_are_refused),
		cmocka_unit_test(upper_case_hex_is_read),
		cmocka_unit_test(zero_keys_have_a_text_form),
		cmocka_unit_test(nl_keys_parse_and_format),
		cmocka_unit_test(nl_key_with_a_foreign_public_half_is_refused),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

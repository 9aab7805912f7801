/* SPDX-License-Identifier: BSD-3-Clause
 * test_box.c - the crypto_box example of "Cryptography in NaCl", and a disco
 * ping that upstream sealed
 */
#include "hex.h"

#include <errno.h>

#include "core/crypto/box.h"
#include "core/crypto/secret.h"

static const char nacl_sealed[] = /* nonce, MAC, ciphertext */
	"69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37"
	"f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce"
	"48332ea7164d96a4476fb8c531a1186ac0dfc17c98dce87b4da7f011ec48c972"
	"71d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae"
	"90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b3"
	"7973f622a43d14a6599b1f654cb45a74e355a5";
static const char nacl_message[] =
	"be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffc"
	"e5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb31"
	"0e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde"
	"048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f93776384864"
	"5e0705";

static const char sender_public_text[] =
	"07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c";

static void box_of(struct ts_box *box, const char *mine, const char *theirs)
{
	struct ts_private_key key;
	struct ts_public_key peer;

	from_hex(mine, key.bytes, 32);
	from_hex(theirs, peer.bytes, 32);
	assert_int_equal(ts_box_init(box, &key, &peer), 0);
}

static void nacl_box(struct ts_box *box)
{
	box_of(box,
	       "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0"
	       "eb",
	       "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e"
	       "6a");
}

static void nacl_example_opens(void **state)
{
	uint8_t in[256], out[256];
	struct ts_box box;
	size_t len = from_hex(nacl_sealed, in, sizeof(in));

	(void)state;
	nacl_box(&box);
	assert_hex(box.shared, "1b27556473e985d462cd51197a9a46c7"
			       "6009549eac6474f206c4ee0844f68389");
	assert_int_equal(ts_box_unseal(&box, in, len, out), 0);
	assert_hex(out, nacl_message);
}

static void disco_ping_of_upstream_opens(void **state)
{
	uint8_t in[256], out[256];
	struct ts_private_key sender;
	struct ts_public_key sender_public;
	struct ts_box box;
	size_t len = from_hex(
		"e0e1e2e3e4e5e6e7e8e9eaebecedeeefe0e1e2e3e4e5e6e74f23025f99c1"
		"263eca217ae57024c50257d43f2691e632893d9abc1c35a9f7e8700b3040"
		"9b0036753476845ef01995964f1e4fcf7f104ca6c59424a4a122",
		in, sizeof(in));

	(void)state;
	from_hex("0002030405060708090a0b0c0d0e0f10"
		 "1112131415161718191a1b1c1d1e1f60",
		 sender.bytes, 32);
	ts_public_key_from_private(&sender, &sender_public);
	assert_hex(sender_public.bytes, sender_public_text);
	box_of(&box,
	       "2022232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
	       "40",
	       sender_public_text);
	assert_int_equal(ts_box_unseal(&box, in, len, out), 0);
	/* ping, version 0, TxID, node key */
	assert_hex(out, "0100000102030405060708090a0b"
			"d89e3bad79437dbed9f843418304f460"
			"ff05c7fe81fe4a9577a804cb9367ff66");
}

static void sealed_text_opens_at_the_other_side(void **state)
{
	struct ts_private_key a, b;
	struct ts_public_key a_public, b_public;
	struct ts_box ab, ba;
	uint8_t sealed[5 + TS_BOX_OVERHEAD], again[5 + TS_BOX_OVERHEAD], out[5];

	(void)state;
	ts_private_key_generate(&a);
	ts_private_key_generate(&b);
	ts_public_key_from_private(&a, &a_public);
	ts_public_key_from_private(&b, &b_public);
	assert_int_equal(ts_box_init(&ab, &a, &b_public), 0);
	assert_int_equal(ts_box_init(&ba, &b, &a_public), 0);
	ts_box_seal(&ab, (const uint8_t *)"hello", 5, sealed);
	ts_box_seal(&ab, (const uint8_t *)"hello", 5, again);
	assert_memory_not_equal(sealed, again, TS_BOX_NONCE_LEN);
	assert_int_equal(ts_box_unseal(&ba, sealed, sizeof(sealed), out), 0);
	assert_memory_equal(out, "hello", 5);
}

static void cuts_and_flips_are_refused(void **state)
{
	uint8_t in[256], out[256];
	struct ts_box box;
	size_t len = from_hex(nacl_sealed, in, sizeof(in));

	(void)state;
	nacl_box(&box);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(ts_box_unseal(&box, in, cut, out),
				 cut < TS_BOX_OVERHEAD ? -EBADMSG : -EACCES);
	for (size_t at = 0; at < len; at++) {
		in[at] ^= 0x80;
		assert_int_equal(ts_box_unseal(&box, in, len, out), -EACCES);
		in[at] ^= 0x80;
	}
}

static void low_order_point_makes_no_box(void **state)
{
	struct ts_private_key key;
	struct ts_public_key zero = {{0}};
	struct ts_box box;

	(void)state;
	ts_private_key_generate(&key);
	assert_int_equal(ts_box_init(&box, &key, &zero), -EACCES);
}

static int setup(void **state)
{
	(void)state;
	return ts_crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nacl_example_opens),
		cmocka_unit_test(disco_ping_of_upstream_opens),
		cmocka_unit_test(sealed_text_opens_at_the_other_side),
		cmocka_unit_test(cuts_and_flips_are_refused),
		cmocka_unit_test(low_order_point_makes_no_box),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

/* SPDX-License-Identifier: BSD-3-Clause
 * A certificate with its chain and key: which are fit, and for how long.
 */
#include "unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit/acme/test_ca.h"

enum { NOW = 1750000000, DAY = 86400 };

static struct ts_cert_pair pair_for(const char *domain)
{
	struct test_ca ca;
	struct ts_cert_pair pair;

	ca_open(&ca, NOW);
	pair = ca_pair(&ca, domain, NOW - DAY, NOW + 89 * DAY);
	ca_close(&ca);
	return pair;
}

static void a_pair_is_for_its_name_and_its_time(void **state)
{
	struct ts_cert_pair pair = pair_for("web.tail.ts.net");

	(void)state;
	assert_int_equal(ts_cert_check(&pair, "web.tail.ts.net", NULL, NOW),
			 TS_CERT_FINE);
	assert_int_equal(ts_cert_check(&pair, "a.tail.ts.net", NULL, NOW),
			 TS_CERT_OTHER_NAME);
	assert_int_equal(ts_cert_check(&pair, "*.web.tail.ts.net", NULL, NOW),
			 TS_CERT_OTHER_NAME);
	assert_int_equal(ts_cert_check(&pair, "web.tail.ts.net", NULL,
				       NOW + 90 * DAY), TS_CERT_EXPIRED);
	assert_int_equal(ts_cert_check(&pair, "web.tail.ts.net", NULL,
				       NOW - 2 * DAY), TS_CERT_EXPIRED);
	ts_cert_pair_deinit(&pair);
}

static void a_wildcard_has_both_names(void **state)
{
	struct ts_cert_pair pair = pair_for("*.web.tail.ts.net");

	(void)state;
	assert_int_equal(ts_cert_check(&pair, "*.web.tail.ts.net", NULL, NOW),
			 TS_CERT_FINE);
	assert_int_equal(ts_cert_check(&pair, "web.tail.ts.net", NULL, NOW),
			 TS_CERT_FINE);
	ts_cert_pair_deinit(&pair);
}

/* X.520's common name has 64 bytes at most. */
static void a_long_name_is_in_the_request_all_the_same(void **state)
{
	static const char name[] =
		"a-node-with-a-name-that-is-as-long-as-labels-may-be-0123456789"
		".tail-scale-name.ts.net";
	struct ts_cert_pair pair = pair_for(name);

	(void)state;
	assert_int_equal(ts_cert_check(&pair, name, NULL, NOW), TS_CERT_FINE);
	ts_cert_pair_deinit(&pair);
}

static void the_key_must_be_its_own(void **state)
{
	struct ts_cert_pair one = pair_for("a.b"), other = pair_for("a.b");
	char *key = one.key_pem;

	(void)state;
	one.key_pem = other.key_pem;
	assert_int_equal(ts_cert_check(&one, "a.b", NULL, NOW),
			 TS_CERT_UNREADABLE);
	one.key_pem = key;
	ts_cert_pair_deinit(&one);
	ts_cert_pair_deinit(&other);
}

static void roots_count_where_there_are_some(void **state)
{
	X509_STORE *empty = X509_STORE_new(), *store = X509_STORE_new();
	struct test_ca ca;
	struct ts_cert_pair pair;

	(void)state;
	ca_open(&ca, NOW);
	pair = ca_pair(&ca, "a.b", NOW - DAY, NOW + DAY);
	X509_STORE_add_cert(store, ca.root);
	assert_int_equal(ts_cert_check(&pair, "a.b", store, NOW),
			 TS_CERT_FINE);
	assert_int_equal(ts_cert_check(&pair, "a.b", empty, NOW),
			 TS_CERT_UNTRUSTED);
	ts_cert_pair_deinit(&pair);
	X509_STORE_free(store);
	X509_STORE_free(empty);
	ca_close(&ca);
}

static void texts_cut_at_each_length_are_not_fit(void **state)
{
	struct ts_cert_pair pair = pair_for("a.b");
	size_t leaf_len = (size_t)(strstr(pair.chain_pem + 10, "-----BEGIN") -
				   pair.chain_pem);

	(void)state;
	for (size_t cut = 0; cut + 2 < leaf_len; cut++) {
		struct ts_cert_pair part = {pair.key_pem,
					    strndup(pair.chain_pem, cut)};
		struct ts_cert_info info;

		assert_int_equal(ts_cert_check(&part, "a.b", NULL, NOW),
				 TS_CERT_UNREADABLE);
		assert_int_equal(ts_cert_info(part.chain_pem, &info),
				 -EBADMSG);
		assert_null(ts_cert_chain_read(part.chain_pem, cut));
		free(part.chain_pem);
	}
	for (size_t cut = 0; cut + 2 < strlen(pair.key_pem); cut++) {
		struct ts_cert_pair part = {strndup(pair.key_pem, cut),
					    pair.chain_pem};

		assert_int_equal(ts_cert_check(&part, "a.b", NULL, NOW),
				 TS_CERT_UNREADABLE);
		free(part.key_pem);
	}
	ts_cert_pair_deinit(&pair);
}

static void a_chain_is_read_without_what_is_around_it(void **state)
{
	struct ts_cert_pair pair = pair_for("a.b");
	char *dirty = NULL, *clean, *many;

	(void)state;
	assert_true(asprintf(&dirty, "hello\n%sbye\n", pair.chain_pem) > 0);
	clean = ts_cert_chain_read(dirty, strlen(dirty));
	assert_string_equal(clean, pair.chain_pem);
	assert_null(ts_cert_chain_read(pair.key_pem, strlen(pair.key_pem)));
	assert_null(ts_cert_chain_read("a\0b", 3));
	many = calloc(12, strlen(dirty));
	for (int i = 0; i < 11; i++)
		strcat(many, dirty);
	assert_null(ts_cert_chain_read(many, strlen(many)));
	free(many);
	free(clean);
	free(dirty);
	ts_cert_pair_deinit(&pair);
}

static void renewal_is_after_two_thirds(void **state)
{
	struct ts_cert_pair pair = pair_for("a.b");
	struct ts_cert_info info;

	(void)state;
	assert_int_equal(ts_cert_info(pair.chain_pem, &info), 0);
	assert_int_equal(info.not_before, NOW - DAY);
	assert_int_equal(info.not_after, NOW + 89 * DAY);
	assert_int_equal(ts_cert_renewal(&info), NOW + 59 * DAY);
	/* Serial 0x88 has its first bit set: two bytes in DER. */
	assert_non_null(strchr(info.ari_id, '.'));
	assert_string_equal(strchr(info.ari_id, '.'), ".AIg");
	ts_cert_pair_deinit(&pair);
}

/* RFC 9773, appendix A */
static void the_rfcs_certificate_has_the_rfcs_id(void **state)
{
	static const char pem[] =
		"-----BEGIN CERTIFICATE-----\n"
		"MIIBQzCB66ADAgECAgUAh2VDITAKBggqhkjOPQQDAjAVMRMwEQYDVQQDEwpFeGFt\n"
		"cGxlIENBMCIYDzAwMDEwMTAxMDAwMDAwWhgPMDAwMTAxMDEwMDAwMDBaMBYxFDAS\n"
		"BgNVBAMTC2V4YW1wbGUuY29tMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEeBZu\n"
		"7cbpAYNXZLbbh8rNIzuOoqOOtmxA1v7cRm//AwyMwWxyHz4zfwmBhcSrf47NUAFf\n"
		"qzLQ2PPQxdTXREYEnKMjMCEwHwYDVR0jBBgwFoAUaYhba4dGQEHhs3uEe6CuLN4B\n"
		"yNQwCgYIKoZIzj0EAwIDRwAwRAIge09+S5TZAlw5tgtiVvuERV6cT4mfutXIlwTb\n"
		"+FYN/8oCIClDsqBklhB9KAelFiYt9+6FDj3z4KGVelYM5MdsO3pK\n"
		"-----END CERTIFICATE-----\n";
	struct ts_cert_info info;

	(void)state;
	(void)ts_cert_info(pem, &info); /* its times are no life */
	assert_string_equal(info.ari_id, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pair_is_for_its_name_and_its_time),
		cmocka_unit_test(a_wildcard_has_both_names),
		cmocka_unit_test(a_long_name_is_in_the_request_all_the_same),
		cmocka_unit_test(the_key_must_be_its_own),
		cmocka_unit_test(roots_count_where_there_are_some),
		cmocka_unit_test(texts_cut_at_each_length_are_not_fit),
		cmocka_unit_test(a_chain_is_read_without_what_is_around_it),
		cmocka_unit_test(renewal_is_after_two_thirds),
		cmocka_unit_test(the_rfcs_certificate_has_the_rfcs_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

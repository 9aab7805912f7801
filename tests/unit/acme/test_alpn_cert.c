/* SPDX-License-Identifier: BSD-3-Clause
 * The certificate that answers tls-alpn-01, as a CA reads it (RFC 8737 3).
 */
#include "unit/test.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "core/acme/acme_jws.h"
#include "core/acme/alpn_cert.h"

#define DOMAIN "web.tail.ts.net"

enum { NOW = 1750000000 };

static X509 *read_leaf(const struct ts_cert_pair *pair)
{
	BIO *bio = BIO_new_mem_buf(pair->chain_pem, -1);
	X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	assert_non_null(cert);
	BIO_free(bio);
	return cert;
}

static void it_has_the_digest_and_the_name_alone(void **state)
{
	uint8_t digest[TS_SHA256_LEN];
	struct ts_cert_pair pair;
	ASN1_OBJECT *id = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
	const ASN1_OCTET_STRING *value;
	X509_EXTENSION *extension;
	GENERAL_NAMES *names;
	X509 *cert;

	(void)state;
	for (size_t i = 0; i < sizeof(digest); i++)
		digest[i] = (uint8_t)(i * 7);
	assert_int_equal(ts_acme_alpn_cert(DOMAIN, digest, NOW, &pair), 0);
	/* The key belongs to it, and it is valid now, for this name. */
	assert_int_equal(ts_cert_check(&pair, DOMAIN, NULL, NOW),
			 TS_CERT_FINE);
	assert_int_equal(ts_cert_check(&pair, "x." DOMAIN, NULL, NOW),
			 TS_CERT_OTHER_NAME);
	cert = read_leaf(&pair);
	names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	assert_int_equal(sk_GENERAL_NAME_num(names), 1);
	extension = X509_get_ext(cert, X509_get_ext_by_OBJ(cert, id, -1));
	assert_non_null(extension);
	assert_int_equal(X509_EXTENSION_get_critical(extension), 1);
	value = X509_EXTENSION_get_data(extension);
	assert_int_equal(ASN1_STRING_length(value), 34);
	assert_memory_equal(ASN1_STRING_get0_data(value), "\x04\x20", 2);
	assert_memory_equal(ASN1_STRING_get0_data(value) + 2, digest, 32);
	assert_int_equal(X509_get_ext_count(cert), 2);
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	X509_free(cert);
	ASN1_OBJECT_free(id);
	ts_cert_pair_deinit(&pair);
}

/* One text in two forms. */
static void the_digest_is_that_of_the_dns_record(void **state)
{
	struct ts_acme_key *key = ts_acme_key_new();
	uint8_t digest[TS_SHA256_LEN];
	char *record = ts_acme_dns_record(key, "token"), *text;

	(void)state;
	assert_int_equal(ts_acme_challenge_digest(key, "token", digest), 0);
	text = ts_base64url_encode(digest, sizeof(digest));
	assert_string_equal(text, record);
	free(text);
	free(record);
	ts_acme_key_free(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_has_the_digest_and_the_name_alone),
		cmocka_unit_test(the_digest_is_that_of_the_dns_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

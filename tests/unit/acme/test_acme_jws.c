/* SPDX-License-Identifier: BSD-3-Clause
 * What an account signs: RFC 7515's example of ES256, RFC 7638, RFC 8555 8.4.
 */
#include "unit/test.h"

#include <errno.h>
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "core/acme/acme_jws.h"
#include "core/base/encode.h"
#include "core/crypto/secret.h"

/* RFC 7515 A.3.1, its key as PKCS#8 (made of x, y and d by OpenSSL). */
static const char rfc_key[] =
	"-----BEGIN PRIVATE KEY-----\n"
	"MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
	"H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
	"7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
	"-----END PRIVATE KEY-----\n";
static const char rfc_x[] = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
static const char rfc_y[] = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
static const char rfc_header[] = "{\"alg\":\"ES256\"}";
static const char rfc_payload[] =
	"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n "
	"\"http://example.com/is_root\":true}";
static const char rfc_input[] =
	"eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQog"
	"Imh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
static const char rfc_signature[] =
	"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxf"
	"KTUJqPP3-Kg6NU1Q";

static struct ts_acme_key *read_key(const char *pem)
{
	struct ts_acme_key *key = NULL;

	assert_int_equal(ts_acme_key_read(pem, strlen(pem), &key), 0);
	return key;
}

static uint8_t *unbase64url(const char *text, size_t *len)
{
	size_t n = strlen(text);
	char *std = calloc(1, n + 4);
	uint8_t *out = NULL;

	for (size_t i = 0; i < n; i++)
		std[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	while (n % 4)
		std[n++] = '=';
	assert_int_equal(ts_base64_decode(std, n, &out, len), 0);
	free(std);
	return out;
}

static bool verifies(const struct ts_acme_key *key, const char *input,
		     const char *signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	ECDSA_SIG *sig = ECDSA_SIG_new();
	uint8_t *raw, *der = NULL;
	size_t len;
	int der_len;
	bool ok;

	raw = unbase64url(signature, &len);
	assert_int_equal(len, TS_ES256_LEN);
	ECDSA_SIG_set0(sig, BN_bin2bn(raw, 32, NULL),
		       BN_bin2bn(raw + 32, 32, NULL));
	der_len = i2d_ECDSA_SIG(sig, &der);
	assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL,
					      ts_acme_key_pkey(key)), 1);
	ok = EVP_DigestVerify(ctx, der, (size_t)der_len,
			      (const uint8_t *)input, strlen(input)) == 1;
	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	free(raw);
	return ok;
}

/* The vector's public half: its signature is one of this key. */
static struct ts_acme_key *vector_key(void)
{
	return read_key(rfc_key);
}

static void the_rfcs_example_is_what_we_sign(void **state)
{
	char *input = ts_acme_signing_input(rfc_header, rfc_payload);
	struct ts_acme_key *key = vector_key();
	uint8_t raw[TS_ES256_LEN];
	char *mine;

	(void)state;
	assert_string_equal(input, rfc_input);
	assert_true(verifies(key, input, rfc_signature));
	assert_int_equal(ts_acme_key_sign(key, input, strlen(input), raw), 0);
	mine = ts_base64url_encode(raw, sizeof(raw));
	assert_true(verifies(key, input, mine));
	input[0] ^= 1;
	assert_false(verifies(key, input, mine));
	free(mine);
	free(input);
	ts_acme_key_free(key);
}

static void its_jwk_has_the_rfcs_coordinates(void **state)
{
	struct ts_acme_key *key = vector_key();
	char *jwk = ts_acme_key_jwk(key);
	char want[256];

	(void)state;
	snprintf(want, sizeof(want),
		 "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}",
		 rfc_x, rfc_y);
	assert_string_equal(jwk, want);
	free(jwk);
	ts_acme_key_free(key);
}

/* The thumbprint is RFC 7638's of that key, computed by hand. */
static void a_dns_record_is_a_hash_of_token_and_thumbprint(void **state)
{
	struct ts_acme_key *key = vector_key();
	char *record = ts_acme_dns_record(
		key, "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA");

	(void)state;
	assert_string_equal(record,
			    "ZaJgFtIV4WA0t2MzN7kbSk0sfRd2GZjaxRqaSTAK6lI");
	free(record);
	ts_acme_key_free(key);
}

static json_t *part(const json_t *jws, const char *name)
{
	size_t len;
	uint8_t *text = unbase64url(
		json_string_value(json_object_get(jws, name)), &len);
	json_t *json = json_loadb((char *)text, len, 0, NULL);

	free(text);
	return json;
}

static const char *text_of(const json_t *obj, const char *name)
{
	return json_string_value(json_object_get(obj, name));
}

static void a_request_has_the_key_once_and_the_account_later(void **state)
{
	struct ts_acme_key *key = ts_acme_key_new();
	char *first = ts_acme_jws(key, NULL, "n1", "https://ca/acct", "{}");
	char *second = ts_acme_jws(key, "https://ca/acct/1", "n\"2",
				   "https://ca/order", "");
	json_t *one = json_loads(first, 0, NULL);
	json_t *two = json_loads(second, 0, NULL);
	json_t *header = part(one, "protected");
	char input[2048];

	(void)state;
	assert_string_equal(text_of(header, "alg"), "ES256");
	assert_string_equal(text_of(header, "nonce"), "n1");
	assert_string_equal(text_of(header, "url"), "https://ca/acct");
	assert_non_null(json_object_get(header, "jwk"));
	assert_null(json_object_get(header, "kid"));
	json_decref(header);
	header = part(two, "protected");
	assert_string_equal(text_of(header, "nonce"), "n\"2");
	assert_string_equal(text_of(header, "kid"), "https://ca/acct/1");
	assert_null(json_object_get(header, "jwk"));
	assert_string_equal(text_of(two, "payload"), "");
	snprintf(input, sizeof(input), "%s.%s", text_of(two, "protected"),
		 text_of(two, "payload"));
	assert_true(verifies(key, input, text_of(two, "signature")));
	json_decref(header);
	json_decref(one);
	json_decref(two);
	free(first);
	free(second);
	ts_acme_key_free(key);
}

static void a_key_is_kept_as_upstream_keeps_it(void **state)
{
	struct ts_acme_key *key = ts_acme_key_new(), *again;
	char *text = ts_acme_key_write(key), *jwk, *jwk_again;

	(void)state;
	assert_memory_equal(text, "-----BEGIN EC PRIVATE KEY-----\n", 31);
	again = read_key(text);
	jwk = ts_acme_key_jwk(key);
	jwk_again = ts_acme_key_jwk(again);
	assert_string_equal(jwk, jwk_again);
	ts_wipe_free_text(text);
	free(jwk);
	free(jwk_again);
	ts_acme_key_free(key);
	ts_acme_key_free(again);
}

static void what_is_no_such_key_is_told(void **state)
{
	static const char ed25519[] =
		"-----BEGIN PRIVATE KEY-----\n"
		"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
		"-----END PRIVATE KEY-----\n";
	struct ts_acme_key *key = NULL;
	struct ts_acme_key *whole = ts_acme_key_new();
	char *text = ts_acme_key_write(whole);

	(void)state;
	assert_int_equal(ts_acme_key_read("", 0, &key), -EBADMSG);
	assert_int_equal(ts_acme_key_read(ed25519, strlen(ed25519), &key),
			 -EPROTO);
	for (size_t cut = 0; cut + 2 < strlen(text); cut++)
		assert_int_equal(ts_acme_key_read(text, cut, &key), -EBADMSG);
	assert_null(key);
	ts_wipe_free_text(text);
	ts_acme_key_free(whole);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rfcs_example_is_what_we_sign),
		cmocka_unit_test(its_jwk_has_the_rfcs_coordinates),
		cmocka_unit_test(
			a_dns_record_is_a_hash_of_token_and_thumbprint),
		cmocka_unit_test(
			a_request_has_the_key_once_and_the_account_later),
		cmocka_unit_test(a_key_is_kept_as_upstream_keeps_it),
		cmocka_unit_test(what_is_no_such_key_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

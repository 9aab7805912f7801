/* SPDX-License-Identifier: BSD-3-Clause
 * test_ca.h - a CA for tests: signs what a request asks for
 */
#ifndef TESTS_UNIT_ACME_TEST_CA_H
#define TESTS_UNIT_ACME_TEST_CA_H

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/acme/cert_pair.h"
#include "core/base/encode.h"

struct test_ca {
	EVP_PKEY *key;
	X509 *root;
	long serial;
};

static inline void ca_extend(X509 *cert, X509 *issuer, int nid, const char *v)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, v);
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
}

static inline X509 *ca_sign(struct test_ca *ca, X509_NAME *subject,
			    EVP_PKEY *key, int64_t from, int64_t until)
{
	X509 *cert = X509_new();
	ASN1_INTEGER *serial = ASN1_INTEGER_new();

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(serial, ca->serial++);
	X509_set_serialNumber(cert, serial);
	ASN1_INTEGER_free(serial);
	X509_set_subject_name(cert, subject);
	X509_set_issuer_name(cert, ca->root ? X509_get_subject_name(ca->root)
					    : subject);
	ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)from);
	ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)until);
	X509_set_pubkey(cert, key);
	return cert;
}

static inline void ca_open(struct test_ca *ca, int64_t now)
{
	X509_NAME *name = X509_NAME_new();

	*ca = (struct test_ca){.key = EVP_EC_gen("P-256"), .serial = 0x87};
	X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
				   (const unsigned char *)"root", -1, -1, 0);
	ca->root = ca_sign(ca, name, ca->key, now - 86400, now + 8640000);
	ca_extend(ca->root, ca->root, NID_basic_constraints,
		  "critical,CA:TRUE");
	ca_extend(ca->root, ca->root, NID_subject_key_identifier, "hash");
	X509_sign(ca->root, ca->key, EVP_sha256());
	X509_NAME_free(name);
}

static inline void ca_close(struct test_ca *ca)
{
	EVP_PKEY_free(ca->key);
	X509_free(ca->root);
}

/* csr: base64url. Heap PEM of the leaf and the root. */
static inline char *ca_issue(struct test_ca *ca, const char *csr, int64_t from,
			     int64_t until)
{
	size_t n = strlen(csr), len;
	char *std = calloc(1, n + 4), *text, *data;
	STACK_OF(X509_EXTENSION) *extensions;
	const unsigned char *at;
	X509_REQ *request;
	uint8_t *der;
	X509 *leaf;
	BIO *bio = BIO_new(BIO_s_mem());

	for (size_t i = 0; i < n; i++)
		std[i] = csr[i] == '-' ? '+' : csr[i] == '_' ? '/' : csr[i];
	while (n % 4)
		std[n++] = '=';
	assert_int_equal(ts_base64_decode(std, n, &der, &len), 0);
	at = der;
	request = d2i_X509_REQ(NULL, &at, (long)len);
	assert_non_null(request);
	assert_int_equal(X509_REQ_verify(request,
					 X509_REQ_get0_pubkey(request)), 1);
	leaf = ca_sign(ca, X509_REQ_get_subject_name(request),
		       X509_REQ_get0_pubkey(request), from, until);
	extensions = X509_REQ_get_extensions(request);
	for (int i = 0; i < sk_X509_EXTENSION_num(extensions); i++)
		X509_add_ext(leaf, sk_X509_EXTENSION_value(extensions, i), -1);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	ca_extend(leaf, ca->root, NID_authority_key_identifier, "keyid");
	X509_sign(leaf, ca->key, EVP_sha256());
	PEM_write_bio_X509(bio, leaf);
	PEM_write_bio_X509(bio, ca->root);
	n = (size_t)BIO_get_mem_data(bio, &data);
	text = strndup(data, n);
	X509_free(leaf);
	X509_REQ_free(request);
	BIO_free(bio);
	free(der);
	free(std);
	return text;
}

static inline struct ts_cert_pair ca_pair(struct test_ca *ca,
					  const char *domain, int64_t from,
					  int64_t until)
{
	struct ts_acme_key *key = ts_acme_key_new();
	char *csr = ts_cert_request(key, domain);
	struct ts_cert_pair pair = {ts_acme_key_write(key),
				    ca_issue(ca, csr, from, until)};

	free(csr);
	ts_acme_key_free(key);
	return pair;
}

#endif

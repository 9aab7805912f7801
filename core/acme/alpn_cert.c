/* SPDX-License-Identifier: BSD-3-Clause
 * alpn_cert.c - the certificate that answers a tls-alpn-01 challenge
 * Source: RFC 8737 3; tempfork/acme/acme.go (TLSALPN01ChallengeCert)
 *
 * It is signed by itself and for the CA's eyes only, which looks for the digest
 * in a critical extension, and so nobody else believes it.
 */
#include "core/acme/alpn_cert.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#define ACME_IDENTIFIER "1.3.6.1.5.5.7.1.31"

enum { DAY_S = 86400, OCTET_STRING = 4 };

static bool add_extension(X509 *cert, X509_EXTENSION *extension)
{
	bool ok = extension && X509_add_ext(cert, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return ok;
}

static bool add_name(X509 *cert, const char *domain)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	bool ok = names && name && text &&
		  ASN1_STRING_set(text, domain, -1) == 1 &&
		  sk_GENERAL_NAME_push(names, name) > 0;

	if (ok) {
		GENERAL_NAME_set0_value(name, GEN_DNS, text); /* owns it */
		ok = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0,
				       X509V3_ADD_DEFAULT) == 1;
	} else {
		ASN1_IA5STRING_free(text);
		GENERAL_NAME_free(name);
	}
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	return ok;
}

static bool add_digest(X509 *cert, const uint8_t digest[static TS_SHA256_LEN])
{
	uint8_t der[2 + TS_SHA256_LEN] = {OCTET_STRING, TS_SHA256_LEN};
	ASN1_OBJECT *id = OBJ_txt2obj(ACME_IDENTIFIER, 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	bool ok = id && value;

	memcpy(der + 2, digest, TS_SHA256_LEN);
	ok = ok && ASN1_OCTET_STRING_set(value, der, sizeof(der)) == 1 &&
	     add_extension(cert, X509_EXTENSION_create_by_OBJ(NULL, id, 1,
							      value));
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(id);
	return ok;
}

/* Of any name: nobody reads that, but some want one. */
static bool set_names(X509 *cert)
{
	static const unsigned char text[] = "acme";
	X509_NAME *name = X509_get_subject_name(cert);

	return X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_ASC,
					  text, -1, -1, 0) == 1 &&
	       X509_set_issuer_name(cert, name) == 1;
}

static bool fill(X509 *cert, EVP_PKEY *key, const char *domain,
		 const uint8_t digest[static TS_SHA256_LEN], int64_t now_unix)
{
	return X509_set_version(cert, X509_VERSION_3) == 1 &&
	       ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) == 1 &&
	       ASN1_TIME_set(X509_getm_notBefore(cert), now_unix - DAY_S) &&
	       ASN1_TIME_set(X509_getm_notAfter(cert), now_unix + DAY_S) &&
	       set_names(cert) && add_name(cert, domain) &&
	       add_digest(cert, digest) && X509_set_pubkey(cert, key) == 1 &&
	       X509_sign(cert, key, EVP_sha256()) > 0;
}

static char *write_cert(X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *data, *text = NULL;
	long len;

	if (bio && PEM_write_bio_X509(bio, cert) == 1) {
		len = BIO_get_mem_data(bio, &data);
		text = strndup(data, (size_t)len);
	}
	BIO_free(bio);
	return text;
}

int ts_acme_alpn_cert(const char *domain,
		      const uint8_t digest[static TS_SHA256_LEN],
		      int64_t now_unix, struct ts_cert_pair *out)
{
	struct ts_acme_key *key = ts_acme_key_new();
	X509 *cert = X509_new();

	*out = (struct ts_cert_pair){NULL, NULL};
	if (key && cert &&
	    fill(cert, ts_acme_key_pkey(key), domain, digest, now_unix)) {
		out->key_pem = ts_acme_key_write(key);
		out->chain_pem = write_cert(cert);
	}
	X509_free(cert);
	ts_acme_key_free(key);
	ERR_clear_error();
	if (out->key_pem && out->chain_pem)
		return 0;
	ts_cert_pair_deinit(out);
	return -ENOMEM;
}

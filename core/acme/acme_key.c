/* SPDX-License-Identifier: BSD-3-Clause
 * acme_key.c - ECDSA P-256 keys: of an ACME account, and of a certificate
 * Source: feature/acme/certstore.go (encodeECDSAKey, parsePrivateKey),
 * tempfork/acme/jws.go; RFC 7515, 7517, 7518 3.4, 7638
 *
 * OpenSSL has the keys. Where their text passes through memory of ours it is in
 * buffers that are wiped.
 */
#include "core/acme/acme_key.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/crypto/secret.h"

enum { CURVE_NAME_CAP = 32, DER_SIGNATURE_CAP = 80 };

struct ts_acme_key {
	EVP_PKEY *pkey;
};

static struct ts_acme_key *wrap(EVP_PKEY *pkey)
{
	struct ts_acme_key *key = pkey ? malloc(sizeof(*key)) : NULL;

	if (key)
		key->pkey = pkey;
	else
		EVP_PKEY_free(pkey);
	return key;
}

struct ts_acme_key *ts_acme_key_new(void)
{
	struct ts_acme_key *key = wrap(EVP_EC_gen("P-256"));

	ERR_clear_error();
	return key;
}

void ts_acme_key_free(struct ts_acme_key *key)
{
	if (!key)
		return;
	EVP_PKEY_free(key->pkey); /* OpenSSL clears private numbers */
	free(key);
}

static int is_p256(const EVP_PKEY *pkey)
{
	char name[CURVE_NAME_CAP] = "";

	return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name(pkey, name, sizeof(name), NULL) == 1 &&
	       strcmp(name, "prime256v1") == 0;
}

/* A key with a passphrase is no key: nobody is asked for one. */
static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
	(void)buf;
	(void)size;
	(void)rwflag;
	(void)ctx;
	return -1;
}

int ts_acme_key_read(const char *pem, size_t len, struct ts_acme_key **out)
{
	BIO *bio = len <= INT32_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
	EVP_PKEY *pkey = NULL;
	int err = bio ? 0 : -ENOMEM;

	if (!err)
		pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
	if (!err && !pkey)
		err = -EBADMSG;
	if (!err && !is_p256(pkey))
		err = -EPROTO;
	if (err) {
		EVP_PKEY_free(pkey);
	} else {
		*out = wrap(pkey);
		err = *out ? 0 : -ENOMEM;
	}
	BIO_free(bio);
	ERR_clear_error();
	return err;
}

char *ts_acme_key_write(const struct ts_acme_key *key)
{
	BIO *bio = BIO_new(BIO_s_secmem()); /* wiped when freed */
	char *text = NULL, *data;
	long len;

	if (bio && PEM_write_bio_PrivateKey_traditional(
			   bio, key->pkey, NULL, NULL, 0, NULL, NULL) == 1) {
		len = BIO_get_mem_data(bio, &data);
		text = len > 0 ? strndup(data, (size_t)len) : NULL;
	}
	BIO_free(bio);
	ERR_clear_error();
	return text;
}

struct evp_pkey_st *ts_acme_key_pkey(const struct ts_acme_key *key)
{
	return key->pkey;
}

/* -- signatures ------------------------------------------------------------- */

/* OpenSSL's DER into two numbers of fixed length. */
static int split_signature(const uint8_t *der, size_t len,
			   uint8_t out[static TS_ES256_LEN])
{
	ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
	bool ok = sig &&
		  BN_bn2binpad(ECDSA_SIG_get0_r(sig), out,
			       TS_ES256_LEN / 2) > 0 &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + TS_ES256_LEN / 2,
			       TS_ES256_LEN / 2) > 0;

	ECDSA_SIG_free(sig);
	return ok ? 0 : -EIO;
}

int ts_acme_key_sign(const struct ts_acme_key *key, const void *data,
		     size_t len, uint8_t out[static TS_ES256_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[DER_SIGNATURE_CAP];
	size_t der_len = sizeof(der);
	int err = -EIO;

	if (ctx &&
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) == 1 &&
	    EVP_DigestSign(ctx, der, &der_len, data, len) == 1)
		err = split_signature(der, der_len, out);
	EVP_MD_CTX_free(ctx);
	ERR_clear_error();
	return err;
}

/* -- texts ------------------------------------------------------------------ */

char *ts_base64url_encode(const void *data, size_t len)
{
	char *text = ts_base64_encode(data, len);

	for (char *at = text; at && *at; at++) {
		if (*at == '+')
			*at = '-';
		else if (*at == '/')
			*at = '_';
		else if (*at == '=')
			*at = '\0';
	}
	return text;
}

int ts_sha256(const void *data, size_t len, uint8_t out[static TS_SHA256_LEN])
{
	return EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1
		       ? 0 : -EIO;
}

static char *coordinate(const struct ts_acme_key *key, const char *which)
{
	uint8_t bytes[TS_ACME_COORD_LEN];
	BIGNUM *number = NULL;
	char *text = NULL;

	if (EVP_PKEY_get_bn_param(key->pkey, which, &number) == 1 &&
	    BN_bn2binpad(number, bytes, sizeof(bytes)) > 0)
		text = ts_base64url_encode(bytes, sizeof(bytes));
	BN_free(number);
	return text;
}

char *ts_acme_key_jwk(const struct ts_acme_key *key)
{
	char *x = coordinate(key, OSSL_PKEY_PARAM_EC_PUB_X);
	char *y = coordinate(key, OSSL_PKEY_PARAM_EC_PUB_Y);
	char *text = NULL;

	if (x && y &&
	    asprintf(&text, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\","
		     "\"y\":\"%s\"}", x, y) < 0)
		text = NULL;
	free(x);
	free(y);
	ERR_clear_error();
	return text;
}

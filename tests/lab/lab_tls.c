/* SPDX-License-Identifier: BSD-3-Clause
 * lab_tls.c - TLS server contexts with certificates made at start
 *
 * Source: derp/derpserver/derpserver.go (meta certificate: Ed25519, CN
 * "derpkey" and the server's key in hex, serial number = protocol version)
 */
#include "tests/lab/lab_tls.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/crypto/secret.h"
#include "core/path/derp_wire.h"

enum { CERT_LIFE_S = 30 * 24 * 3600, CN_CAP = 80 };

static bool add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	bool ok;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static bool fill_cert(X509 *cert, EVP_PKEY *key, const char *cn, long serial)
{
	X509_NAME *name = X509_get_subject_name(cert);

	return X509_set_version(cert, X509_VERSION_3) == 1 &&
	       ASN1_INTEGER_set(X509_get_serialNumber(cert), serial) == 1 &&
	       X509_gmtime_adj(X509_getm_notBefore(cert), -CERT_LIFE_S) &&
	       X509_gmtime_adj(X509_getm_notAfter(cert), CERT_LIFE_S) &&
	       /* A ready-made string type: the MBSTRING ones refuse names
		* above 64 characters, and DERP's has 71. */
	       X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_UTF8STRING,
					  (const unsigned char *)cn, -1, -1,
					  0) == 1 &&
	       X509_set_issuer_name(cert, name) == 1 &&
	       X509_set_pubkey(cert, key) == 1;
}

/* names: a subjectAltName value, or NULL for none. */
static X509 *self_signed(EVP_PKEY *key, const char *cn, long serial,
			 const char *names, const EVP_MD *md)
{
	X509 *cert = X509_new();

	if (cert && fill_cert(cert, key, cn, serial) &&
	    add_extension(cert, NID_basic_constraints,
			  names ? "critical,CA:TRUE" : "critical,CA:FALSE") &&
	    (!names || add_extension(cert, NID_subject_alt_name, names)) &&
	    X509_sign(cert, key, md) > 0)
		return cert;
	X509_free(cert);
	return NULL;
}

static X509 *read_cert(const char *path)
{
	FILE *f = fopen(path, "re");
	X509 *cert = f ? PEM_read_X509(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return cert;
}

static EVP_PKEY *read_key(const char *path)
{
	FILE *f = fopen(path, "re");
	EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

	if (f)
		fclose(f);
	return key;
}

int lab_tls_init(struct lab_tls *tls, const char *cert_file,
		 const char *key_file)
{
	*tls = (struct lab_tls){0};
	if (cert_file && key_file) {
		tls->key = read_key(key_file);
		tls->cert = read_cert(cert_file);
	} else {
		tls->key = EVP_EC_gen("P-256");
		if (tls->key)
			tls->cert = self_signed(
				tls->key, "tsnet-lab",
				(long)(ts_random_u32() & 0x7fffffff),
				"IP:127.0.0.1,IP:::1,DNS:localhost",
				EVP_sha256());
	}
	if (tls->key && tls->cert)
		return 0;
	lab_tls_deinit(tls);
	return -EIO;
}

void lab_tls_deinit(struct lab_tls *tls)
{
	EVP_PKEY_free(tls->key);
	X509_free(tls->cert);
	*tls = (struct lab_tls){0};
}

int lab_tls_write_cert(const struct lab_tls *tls, const char *path)
{
	FILE *f = fopen(path, "we");
	bool ok;

	if (!f)
		return -errno;
	ok = PEM_write_X509(f, tls->cert) == 1;
	return fclose(f) == 0 && ok ? 0 : -EIO;
}

void lab_tls_fingerprint(const struct lab_tls *tls,
			 char out[static LAB_SHA256_HEX_CAP])
{
	unsigned char md[EVP_MAX_MD_SIZE] = {0};
	unsigned md_len = 0;

	X509_digest(tls->cert, EVP_sha256(), md, &md_len);
	ts_hex_encode(md, 32, out);
}

static X509 *meta_cert(const struct ts_public_key *derp_key)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	char cn[CN_CAP] = "derpkey";
	X509 *cert = NULL;

	ts_hex_encode(derp_key->bytes, TS_KEY_LEN, cn + strlen(cn));
	if (key)
		cert = self_signed(key, cn, DERP_PROTOCOL_VERSION, NULL, NULL);
	EVP_PKEY_free(key);
	return cert;
}

static bool add_meta_cert(SSL_CTX *ctx, const struct ts_public_key *derp_key)
{
	X509 *cert = meta_cert(derp_key);

	if (!cert)
		return false;
	if (SSL_CTX_add_extra_chain_cert(ctx, cert) == 1)
		return true; /* ctx owns it */
	X509_free(cert);
	return false;
}

SSL_CTX *lab_tls_context(const struct lab_tls *tls,
			 const struct ts_public_key *derp_key)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx && SSL_CTX_use_certificate(ctx, tls->cert) == 1 &&
	    SSL_CTX_use_PrivateKey(ctx, tls->key) == 1 &&
	    (!derp_key || add_meta_cert(ctx, derp_key)))
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

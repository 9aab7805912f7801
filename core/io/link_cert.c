/* SPDX-License-Identifier: BSD-3-Clause
 * link_cert.c - certificates: trusted roots, pins, DERP's meta certificate
 * Source: net/tlsdial/tlsdial.go, derp/derphttp/derphttp_client.go
 *
 * A DERP server adds a self-signed certificate to its chain that carries its
 * own key in the name: "derpkey" and 64 hex digits, the protocol version as
 * serial number. Nothing vouches for it but the server's signature over the
 * handshake, which covers the chain only in TLS 1.3.
 */
#include "core/io/link_cert.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/addr.h"
#include "core/base/encode.h"
#include "core/base/err.h"

#define META_CERT_PREFIX "derpkey"
enum { META_PREFIX_LEN = 7, COMMON_NAME_CAP = 128 };

/* Where distributions keep their bundle, for a build whose OpenSSL was
 * configured for another one. */
static const char *const bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/pki/tls/cacert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/cert.pem",
};

/* An empty directory comes with some minimal systems. */
static bool has_files(const char *dir)
{
	DIR *open_dir = opendir(dir);
	struct dirent *entry;
	bool found = false;

	if (!open_dir)
		return false;
	while (!found && (entry = readdir(open_dir)))
		found = entry->d_name[0] != '.';
	closedir(open_dir);
	return found;
}

static bool defaults_exist(void)
{
	return access(X509_get_default_cert_file(), R_OK) == 0 ||
	       has_files(X509_get_default_cert_dir());
}

static bool is_told(void)
{
	return getenv(X509_get_default_cert_file_env()) ||
	       getenv(X509_get_default_cert_dir_env());
}

void ts_cert_load_roots(SSL_CTX *ctx)
{
	SSL_CTX_set_default_verify_paths(ctx); /* reads the environment too */
	if (is_told() || defaults_exist())
		return;
	for (size_t i = 0; i < ARRAY_LEN(bundles); i++)
		if (SSL_CTX_load_verify_file(ctx, bundles[i]))
			return;
}

struct x509_store_st *ts_cert_roots(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	X509_STORE *store = NULL;

	if (ctx) {
		ts_cert_load_roots(ctx);
		store = SSL_CTX_get_cert_store(ctx);
		X509_STORE_up_ref(store);
	}
	SSL_CTX_free(ctx);
	ERR_clear_error(); /* of files that are not there */
	return store;
}

void ts_cert_roots_free(struct x509_store_st *roots)
{
	X509_STORE_free(roots);
}

bool ts_cert_load_pem(SSL_CTX *ctx, const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	X509_STORE *store = X509_STORE_new();
	X509 *cert;
	int count = 0;

	while (bio && store &&
	       (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		count += X509_STORE_add_cert(store, cert);
		X509_free(cert);
	}
	ERR_clear_error(); /* the end of the text is one */
	BIO_free(bio);
	if (count > 0)
		SSL_CTX_set_cert_store(ctx, store); /* owns it now */
	else
		X509_STORE_free(store);
	return count > 0;
}

const char *ts_cert_missing_roots_hint(void)
{
	if (is_told() || defaults_exist())
		return "";
	for (size_t i = 0; i < ARRAY_LEN(bundles); i++)
		if (access(bundles[i], R_OK) == 0)
			return "";
	return " (this system has no CA certificates: install them, or name "
	       "a file with SSL_CERT_FILE)";
}

/* The subject's only common name as text, or "" when there is none that fits.*/
static void common_name(X509 *cert, char out[static COMMON_NAME_CAP])
{
	X509_NAME *subject = X509_get_subject_name(cert);
	int len = X509_NAME_get_text_by_NID(subject, NID_commonName, out,
					    COMMON_NAME_CAP);

	if (len < 0 || strlen(out) != (size_t)len)
		out[0] = '\0';
}

static bool is_meta(X509 *cert)
{
	char name[COMMON_NAME_CAP];

	common_name(cert, name);
	return strncmp(name, META_CERT_PREFIX, META_PREFIX_LEN) == 0;
}

/* -- the meta certificate ------------------------------------------------- */

static bool has_version(X509 *cert)
{
	uint64_t serial = 0;

	return ASN1_INTEGER_get_uint64(&serial,
				       X509_get0_serialNumber(cert)) == 1 &&
	       serial > 0 && serial <= UINT8_MAX;
}

static bool read_meta(X509 *cert, struct ts_public_key *out)
{
	char name[COMMON_NAME_CAP];
	EVP_PKEY *key = X509_get0_pubkey(cert);
	const char *hex = name + META_PREFIX_LEN;

	common_name(cert, name);
	return strncmp(name, META_CERT_PREFIX, META_PREFIX_LEN) == 0 && key &&
	       EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 &&
	       has_version(cert) &&
	       ts_hex_decode(hex, strlen(hex), out->bytes, TS_KEY_LEN) == 0;
}

bool ts_cert_derp_meta_key(const SSL *ssl, struct ts_public_key *out)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);

	if (SSL_version(ssl) != TLS1_3_VERSION)
		return false;
	for (int i = 0; i < sk_X509_num(chain); i++) {
		struct ts_public_key key;

		if (read_meta(sk_X509_value(chain, i), &key)) {
			*out = key;
			return true;
		}
	}
	return false;
}

/* -- pins ----------------------------------------------------------------- */

static const char *why_unfit(X509 *cert, const uint8_t pin[static 32],
			     const char *name)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;
	struct ts_ip ip;

	if (!X509_digest(cert, EVP_sha256(), digest, &len) || len != 32 ||
	    memcmp(digest, pin, 32) != 0)
		return "the certificate is not the pinned one";
	if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0)
		return "the pinned certificate has expired";
	if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0)
		return "the pinned certificate is not yet valid (is the clock "
		       "right?)";
	if (ts_ip_parse(name, &ip) == 0) /* dialled by address: no name */
		return NULL;
	if (X509_check_host(cert, name, 0, 0, NULL) != 1)
		return "the pinned certificate has another host name";
	return NULL;
}

int ts_cert_check_pin(const SSL *ssl, const uint8_t pin[static 32],
		      const char *name, char err[static TS_TLS_ERROR_CAP])
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	const char *why = "the server shows no certificate";
	int seen = 0;

	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i);

		/* The first one signs the handshake, whatever its name. */
		if (i > 0 && is_meta(cert))
			continue;
		why = seen++ ? "more than the pinned certificate is shown"
			     : why_unfit(cert, pin, name);
		if (why)
			break;
	}
	if (!why)
		return 0;
	snprintf(err, TS_TLS_ERROR_CAP, "TLS: %s", why);
	return -EACCES;
}

/* SPDX-License-Identifier: BSD-3-Clause
 * cert_pair.c - a certificate with its chain, and the key that belongs to it
 * Source: feature/acme/certstore.go (validCertPEM, certRequest), feature/acme/
 * cert.go (domainRenewalTimeByExpiry), RFC 9773 4.1
 */
#include "core/acme/cert_pair.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/crypto/secret.h"

enum { CHAIN_CERTS_MAX = 10, COMMON_NAME_MAX = 64, DOMAIN_CAP = 256,
       SERIAL_MAX = 20, KEY_ID_MAX = 32 };

void ts_cert_pair_deinit(struct ts_cert_pair *pair)
{
	ts_wipe_free_text(pair->key_pem);
	free(pair->chain_pem);
	pair->key_pem = pair->chain_pem = NULL;
}

/* -- reading ---------------------------------------------------------------- */

/* NULL: there is none, or something else among them. */
static STACK_OF(X509) *read_chain(const char *pem)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *cert = NULL;

	while (bio && chain && sk_X509_num(chain) <= CHAIN_CERTS_MAX &&
	       (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		if (!sk_X509_push(chain, cert)) {
			X509_free(cert);
			break;
		}
	BIO_free(bio);
	ERR_clear_error(); /* the end of the text is one */
	if (chain && sk_X509_num(chain) > 0 &&
	    sk_X509_num(chain) <= CHAIN_CERTS_MAX)
		return chain;
	sk_X509_pop_free(chain, X509_free);
	return NULL;
}

char *ts_cert_chain_read(const char *pem, size_t len)
{
	STACK_OF(X509) *chain = strlen(pem) == len ? read_chain(pem) : NULL;
	BIO *bio = chain ? BIO_new(BIO_s_mem()) : NULL;
	bool ok = bio != NULL;
	char *text = NULL, *data;
	long size;

	for (int i = 0; ok && i < sk_X509_num(chain); i++)
		ok = PEM_write_bio_X509(bio, sk_X509_value(chain, i)) == 1;
	if (ok) {
		size = BIO_get_mem_data(bio, &data);
		text = size > 0 ? strndup(data, (size_t)size) : NULL;
	}
	BIO_free(bio);
	sk_X509_pop_free(chain, X509_free);
	return text;
}

/* Of any kind: what others have put there works, too. */
static bool key_fits(X509 *leaf, const char *key_pem)
{
	BIO *bio = BIO_new_mem_buf(key_pem, -1);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL,
						      (void *)"") : NULL;
	bool fits = key && X509_check_private_key(leaf, key) == 1;

	EVP_PKEY_free(key);
	BIO_free(bio);
	ERR_clear_error();
	return fits;
}

static bool has_name(X509 *leaf, const char *domain)
{
	char below[DOMAIN_CAP];

	if (strncmp(domain, "*.", 2) != 0)
		return X509_check_host(leaf, domain, 0, 0, NULL) == 1;
	snprintf(below, sizeof(below), "a.%.250s", domain + 2);
	return X509_check_host(leaf, below, 0, 0, NULL) == 1 &&
	       X509_check_host(leaf, domain + 2, 0, 0, NULL) == 1;
}

static bool is_trusted(X509 *leaf, STACK_OF(X509) *chain,
		       struct x509_store_st *roots, int64_t now_unix)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	bool ok = false;

	if (ctx && X509_STORE_CTX_init(ctx, roots, leaf, chain) == 1) {
		X509_STORE_CTX_set_time(ctx, 0, (time_t)now_unix);
		X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
		ok = X509_verify_cert(ctx) == 1;
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static enum ts_cert_verdict judge(STACK_OF(X509) *chain,
				  const struct ts_cert_pair *pair,
				  const char *domain,
				  struct x509_store_st *roots,
				  int64_t now_unix)
{
	X509 *leaf = sk_X509_value(chain, 0);
	time_t now = (time_t)now_unix;

	if (!key_fits(leaf, pair->key_pem))
		return TS_CERT_UNREADABLE;
	if (X509_cmp_time(X509_get0_notAfter(leaf), &now) <= 0 ||
	    X509_cmp_time(X509_get0_notBefore(leaf), &now) >= 0)
		return TS_CERT_EXPIRED;
	if (!has_name(leaf, domain))
		return TS_CERT_OTHER_NAME;
	if (roots && !is_trusted(leaf, chain, roots, now_unix))
		return TS_CERT_UNTRUSTED;
	return TS_CERT_FINE;
}

enum ts_cert_verdict ts_cert_check(const struct ts_cert_pair *pair,
				   const char *domain,
				   struct x509_store_st *roots,
				   int64_t now_unix)
{
	STACK_OF(X509) *chain = read_chain(pair->chain_pem);
	enum ts_cert_verdict verdict =
		chain ? judge(chain, pair, domain, roots, now_unix)
		      : TS_CERT_UNREADABLE;

	sk_X509_pop_free(chain, X509_free);
	return verdict;
}

/* -- what the leaf says ------------------------------------------------------- */

static int64_t unix_of(const ASN1_TIME *at)
{
	struct tm tm;

	return ASN1_TIME_to_tm(at, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static char *number_text(const ASN1_STRING *bytes, size_t max)
{
	int len = ASN1_STRING_length(bytes);

	if (len <= 0 || (size_t)len > max)
		return NULL;
	return ts_base64url_encode(ASN1_STRING_get0_data(bytes), (size_t)len);
}

/* DER's integer: a byte of zeros before a first bit that is set. */
static char *serial_text(X509 *leaf)
{
	const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf);
	const uint8_t *data = ASN1_STRING_get0_data(serial);
	int len = ASN1_STRING_length(serial);
	uint8_t der[SERIAL_MAX + 1] = {0};
	size_t lead = len > 0 && (data[0] & 0x80) ? 1 : 0;

	if (len <= 0 || len > SERIAL_MAX ||
	    ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER)
		return NULL;
	memcpy(der + lead, data, (size_t)len);
	return ts_base64url_encode(der, (size_t)len + lead);
}

static void make_ari_id(X509 *leaf, char out[static TS_ARI_ID_CAP])
{
	const ASN1_OCTET_STRING *issuer = X509_get0_authority_key_id(leaf);
	char *who = issuer ? number_text(issuer, KEY_ID_MAX) : NULL;
	char *which = serial_text(leaf);

	out[0] = '\0';
	if (who && which)
		snprintf(out, TS_ARI_ID_CAP, "%s.%s", who, which);
	free(who);
	free(which);
}

int ts_cert_info(const char *chain_pem, struct ts_cert_info *out)
{
	STACK_OF(X509) *chain = read_chain(chain_pem);
	X509 *leaf = chain ? sk_X509_value(chain, 0) : NULL;

	memset(out, 0, sizeof(*out));
	if (leaf) {
		out->not_before = unix_of(X509_get0_notBefore(leaf));
		out->not_after = unix_of(X509_get0_notAfter(leaf));
		make_ari_id(leaf, out->ari_id);
	}
	sk_X509_pop_free(chain, X509_free);
	ERR_clear_error();
	return out->not_after > out->not_before ? 0 : -EBADMSG;
}

int64_t ts_cert_renewal(const struct ts_cert_info *info)
{
	return info->not_before + (info->not_after - info->not_before) / 3 * 2;
}

/* -- asking for one ----------------------------------------------------------- */

static bool set_subject(X509_REQ *request, const char *domain)
{
	/* X.520 has no room for a longer one; the names below count. */
	if (strlen(domain) > COMMON_NAME_MAX)
		return true;
	return X509_NAME_add_entry_by_NID(
		       X509_REQ_get_subject_name(request), NID_commonName,
		       MBSTRING_ASC, (const unsigned char *)domain, -1, -1,
		       0) == 1;
}

static bool add_name(GENERAL_NAMES *names, const char *domain)
{
	GENERAL_NAME *name = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	if (name && text && ASN1_STRING_set(text, domain, -1) == 1) {
		GENERAL_NAME_set0_value(name, GEN_DNS, text); /* owns it */
		if (sk_GENERAL_NAME_push(names, name) > 0)
			return true;
		text = NULL;
	}
	ASN1_IA5STRING_free(text);
	GENERAL_NAME_free(name);
	return false;
}

static bool set_names(X509_REQ *request, const char *domain)
{
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	bool ok = names && add_name(names, domain) &&
		  (strncmp(domain, "*.", 2) != 0 ||
		   add_name(names, domain + 2)) &&
		  X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, 0,
				  0) == 1 &&
		  X509_REQ_add_extensions(request, extensions) == 1;

	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	sk_GENERAL_NAME_pop_free(names, GENERAL_NAME_free);
	return ok;
}

char *ts_cert_request(const struct ts_acme_key *key, const char *domain)
{
	X509_REQ *request = X509_REQ_new();
	EVP_PKEY *pkey = ts_acme_key_pkey(key);
	unsigned char *der = NULL;
	char *text = NULL;
	int len = -1;

	if (request && X509_REQ_set_version(request, X509_REQ_VERSION_1) &&
	    set_subject(request, domain) && set_names(request, domain) &&
	    X509_REQ_set_pubkey(request, pkey) &&
	    X509_REQ_sign(request, pkey, EVP_sha256()) > 0)
		len = i2d_X509_REQ(request, &der);
	if (len > 0)
		text = ts_base64url_encode(der, (size_t)len);
	OPENSSL_free(der);
	X509_REQ_free(request);
	ERR_clear_error();
	return text;
}

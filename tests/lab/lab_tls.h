/* SPDX-License-Identifier: BSD-3-Clause
 * lab_tls.h - TLS server contexts with certificates made at start
 */
#ifndef TESTS_LAB_LAB_TLS_H
#define TESTS_LAB_LAB_TLS_H

#include <openssl/ssl.h>

#include "core/crypto/keys.h"

enum { LAB_SHA256_HEX_CAP = 65 };

struct lab_tls {
	EVP_PKEY *key;
	X509 *cert; /* P-256, self-signed, for 127.0.0.1, ::1 and localhost */
};

/* 0 or -EIO; from files (PEM) when given, both or neither. */
int lab_tls_init(struct lab_tls *tls, const char *cert_file,
		 const char *key_file);
void lab_tls_deinit(struct lab_tls *tls);
/* The certificate as PEM in path, for SSL_CERT_FILE. 0 or a negative errno. */
int lab_tls_write_cert(const struct lab_tls *tls, const char *path);
/* SHA-256 of the certificate in hex, for DERP's "sha256-raw:" pins. */
void lab_tls_fingerprint(const struct lab_tls *tls,
			 char out[static LAB_SHA256_HEX_CAP]);
/* derp_key: append DERP's meta certificate for that key, or NULL. The caller
 * frees; NULL on failure. */
SSL_CTX *lab_tls_context(const struct lab_tls *tls,
			 const struct ts_public_key *derp_key);

#endif

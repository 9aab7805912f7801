/* SPDX-License-Identifier: BSD-3-Clause
 * link_cert.h - certificates: trusted roots, pins, DERP's meta certificate
 */
#ifndef CORE_IO_LINK_CERT_H
#define CORE_IO_LINK_CERT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/crypto/keys.h"
#include "core/io/link_tls.h"

/* The roots of SSL_CERT_FILE and SSL_CERT_DIR, else the system's. */
void ts_cert_load_roots(SSL_CTX *ctx);
/* The same, read once for many: to read them takes as long as a hundred
 * handshakes. NULL: no memory. */
struct x509_store_st *ts_cert_roots(void);
void ts_cert_roots_free(struct x509_store_st *roots);
/* The certificates in this text, and no others. false: there is none. */
bool ts_cert_load_pem(SSL_CTX *ctx, const char *pem);
/* For the end of a message that says that a certificate was not believed; ""
 * when there are roots. */
const char *ts_cert_missing_roots_hint(void);
/* 0, or -EACCES with the reason in err. After the handshake. */
int ts_cert_check_pin(const SSL *ssl, const uint8_t pin[static 32],
		      const char *name, char err[static TS_TLS_ERROR_CAP]);
/* PROTOCOL 8.1; only TLS 1.3 signs the whole chain. */
bool ts_cert_derp_meta_key(const SSL *ssl, struct ts_public_key *out);

#endif

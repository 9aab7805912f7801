/* SPDX-License-Identifier: BSD-3-Clause
 * tls_tickets.h - sessions that TLS clients take up again, kept by them
 */
#ifndef CORE_HOST_TLS_TICKETS_H
#define CORE_HOST_TLS_TICKETS_H

#include <openssl/ssl.h>
#include <stdint.h>

struct ts_loop;
struct ts_member;
struct ts_tls_tickets;

enum { TS_TLS_TICKETS_MS = 4 * 3600 * 1000 }; /* a key's life; then half */

/* NULL: out of memory */
struct ts_tls_tickets *ts_tls_tickets_new(struct ts_loop *loop);
void ts_tls_tickets_free(struct ts_tls_tickets *t); /* wipes; NULL is fine */
/* Nobody's session goes on. */
void ts_tls_tickets_forget(struct ts_tls_tickets *t);
/* For SSL_CTX_set_tlsext_ticket_key_evp_cb(), of the keys in t. */
int ts_tls_tickets_key(struct ts_tls_tickets *t, unsigned char *name,
		       unsigned char *iv, EVP_CIPHER_CTX *cipher,
		       EVP_MAC_CTX *mac, int is_new);
/* In the ClientHello: a session is taken up for this node and for the name that
 * it was made for, and for nothing else. name: what is shown whatever the client
 * asks for; "": what it asks for. */
int ts_tls_tickets_bind(SSL *ssl, const struct ts_member *member,
			const char *name);

#endif

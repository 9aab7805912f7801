/* SPDX-License-Identifier: BSD-3-Clause
 * cert_pair.h - a certificate with its chain, and the key that belongs to it
 *
 * As they are stored and handed out: two PEM texts. What is read from a disk
 * or comes from a server is checked here before anybody shows it to a client.
 */
#ifndef CORE_ACME_CERT_PAIR_H
#define CORE_ACME_CERT_PAIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/acme/acme_key.h"

struct x509_store_st;
struct x509_st;

struct ts_cert_pair {
	char *key_pem;	 /* secret */
	char *chain_pem; /* the leaf first */
};
void ts_cert_pair_deinit(struct ts_cert_pair *pair); /* wipes */

/* As servers give it, into a text with nothing but certificates in it. Heap,
 * NULL: there is none, there is something else, or they are too many. */
char *ts_cert_chain_read(const char *pem, size_t len);

enum ts_cert_verdict {
	TS_CERT_FINE,
	TS_CERT_UNREADABLE, /* no certificate, or the key is another one's */
	TS_CERT_EXPIRED,    /* or not valid yet */
	TS_CERT_OTHER_NAME,
	TS_CERT_UNTRUSTED, /* all is well but that its issuer is unknown */
};
/* domain may be "*.x": then x and all names right below it have to be in it.
 * roots NULL: no chain is looked for. */
enum ts_cert_verdict ts_cert_check(const struct ts_cert_pair *pair,
				   const char *domain,
				   struct x509_store_st *roots,
				   int64_t now_unix);

enum { TS_ARI_ID_CAP = 128 };
struct ts_cert_info {
	int64_t not_before, not_after; /* seconds since 1970 */
	char ari_id[TS_ARI_ID_CAP];    /* RFC 9773 4.1; "": it has none */
};
/* Of the leaf: 0 or -EBADMSG. */
int ts_cert_info(const char *chain_pem, struct ts_cert_info *out);
/* When two thirds of its life are over. */
int64_t ts_cert_renewal(const struct ts_cert_info *info);

/* A request for a certificate (PKCS#10), as base64url; "*.x" also asks for x.
 * Heap text; NULL: out of memory. */
char *ts_cert_request(const struct ts_acme_key *key, const char *domain);

#endif

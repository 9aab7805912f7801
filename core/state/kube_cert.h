/* SPDX-License-Identifier: BSD-3-Clause
 * kube_cert.h - a certificate in a Secret of its own, shared by replicas
 *
 * The Secret has the name's name, and is made by whoever runs the replicas.
 * Source: ipn/store/kubestore/store_kube.go (ReadTLSCertAndKey,
 * WriteTLSCertAndKey)
 */
#ifndef CORE_STATE_KUBE_CERT_H
#define CORE_STATE_KUBE_CERT_H

#include <stdbool.h>

#include "core/state/kube_secret.h"

enum { TS_KUBE_ACCOUNT_LEN = 32 };

struct ts_kube_cert {
	char *key_pem, *chain_pem;
	/* SHA-256 of the ACME account's key, of who wrote it. */
	uint8_t account[TS_KUBE_ACCOUNT_LEN];
	bool has_account;
};
void ts_kube_cert_deinit(struct ts_kube_cert *cert); /* wipes */

/* 0 or -ENOMEM. Both are names that a Secret can have. */
int ts_kube_cert_ask(const char *namespace, const char *domain,
		     struct ts_kube_request *out);
/* 0; -ENOENT (there is none in it), -EBADMSG, -ENOMEM: err says why. */
int ts_kube_cert_read(const char *body, size_t len, struct ts_kube_cert *out,
		      char err[static 128]);
/* What puts it there, beside whatever else is there. 0 or -ENOMEM. */
int ts_kube_cert_write(const char *namespace, const char *domain,
		       const struct ts_kube_cert *cert,
		       struct ts_kube_request *out);

#endif

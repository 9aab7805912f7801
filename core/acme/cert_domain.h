/* SPDX-License-Identifier: BSD-3-Clause
 * cert_domain.h - which names this node may have certificates for
 */
#ifndef CORE_ACME_CERT_DOMAIN_H
#define CORE_ACME_CERT_DOMAIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { TS_CERT_DOMAIN_CAP = 256, TS_CERT_ERROR_CAP = 512 };

/* Fit for a file's name, too: dots, letters, digits, '-' and '_'; "*." in front
 * at most. */
bool ts_cert_domain_looks_fine(const char *name);
/* domains: DNSConfig.CertDomains, or NULL. wildcards: the tailnet lets this
 * node have "*.x". 0, or -EACCES with upstream's words in err. */
int ts_cert_domain_check(const char *name, const json_t *domains,
			 bool wildcards, char err[static TS_CERT_ERROR_CAP]);
/* "x" for "x.tail.ts.net": the first of the domains that begins so, or NULL. */
const char *ts_cert_domain_expand(const char *label, const json_t *domains);
/* "*.x" as "wildcard_.x" */
void ts_cert_domain_file(const char *name, const char *suffix, char *out,
			 size_t cap);

#endif

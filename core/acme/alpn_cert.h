/* SPDX-License-Identifier: BSD-3-Clause
 * alpn_cert.h - the certificate that answers a tls-alpn-01 challenge
 */
#ifndef CORE_ACME_ALPN_CERT_H
#define CORE_ACME_ALPN_CERT_H

#include "core/acme/cert_pair.h"

/* What a CA speaks that looks at the challenge, as TLS lists protocols. */
#define TS_ACME_ALPN_LIST "\x0a" "acme-tls/1"

/* RFC 8737 3: for domain alone, with the key authorization's digest. Another
 * key each time. 0 or -ENOMEM. */
int ts_acme_alpn_cert(const char *domain,
		      const uint8_t digest[static TS_SHA256_LEN],
		      int64_t now_unix, struct ts_cert_pair *out);

#endif

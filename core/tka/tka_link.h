/* SPDX-License-Identifier: BSD-3-Clause
 * tka_link.h - links that ask a person to sign a node's key
 *
 * An admin page makes them for whoever has a signing key at hand; who opens one
 * wants to know whether it comes from the tailnet's own control server, which
 * knows the authority's ID. Source: tka/deeplink.go
 */
#ifndef CORE_TKA_TKA_LINK_H
#define CORE_TKA_TKA_LINK_H

#include <stddef.h>
#include <stdint.h>

enum { TKA_LINK_FIELD_CAP = 512, TKA_LINK_ERROR_CAP = 160 };

struct ts_tka_link {
	char node_key[TKA_LINK_FIELD_CAP], key[TKA_LINK_FIELD_CAP];
	char device[TKA_LINK_FIELD_CAP], os[TKA_LINK_FIELD_CAP];
	char login[TKA_LINK_FIELD_CAP];
};

/* state_id: the first of the authority's. 0; or -EBADMSG or -EACCES (somebody
 * else made it), with upstream's words in error. */
int ts_tka_link_read(const char *url, uint64_t state_id,
		     struct ts_tka_link *out,
		     char error[static TKA_LINK_ERROR_CAP]);

#endif

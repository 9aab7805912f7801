/* SPDX-License-Identifier: BSD-3-Clause
 * cert_refresh.c - which certificates are kept fresh though nobody asks
 * Source: feature/acme/refresh.go
 *
 * What is served, and what programs listen for behind TLS, needs a certificate
 * when the first client comes, and so it is obtained as soon as the node runs.
 * One that is stored for a name of this node is renewed when it is time, as
 * somebody may have it in use; once it has expired nobody has, and it is left
 * until somebody asks. All of this at the start, when one of these things
 * changes, and every hour.
 */
#include "core/engine/cert_refresh.h"

#include <stdio.h>
#include <string.h>

#include "core/acme/cert_domain.h"
#include "core/engine/certs.h"
#include "core/engine/engine_internal.h"
#include "core/model/json_fields.h"
#include "core/node/node_serve.h"
#include "core/serve/serve_config.h"

enum { STORED_MAX = 16 }; /* domains that are looked for in the store */

static void want(void *ctx, const char *name)
{
	certs_keep_fresh(ctx, name, true);
}

/* As tsnet has it: the first is the node's own. */
static const json_t *domains_of(const struct ts_engine *engine)
{
	const struct ts_netmap *map = ts_node_netmap(engine->node);

	return map->dns ? ts_json_array(map->dns->raw, "CertDomains") : NULL;
}

static void look_at_stored(struct ts_engine *engine, const char *domain)
{
	char wildcard[TS_CERT_DOMAIN_CAP];
	int n = snprintf(wildcard, sizeof(wildcard), "*.%s", domain);

	certs_keep_fresh(engine, domain, false);
	if (n > 0 && (size_t)n < sizeof(wildcard))
		certs_keep_fresh(engine, wildcard, false);
}

void cert_refresh(struct ts_engine *engine, bool has_listeners)
{
	const json_t *domains = domains_of(engine);
	const char *own = json_string_value(json_array_get(domains, 0));
	size_t count = json_array_size(domains);

	if (engine->phase != ENGINE_UP ||
	    ts_node_state(engine->node) != TS_RUNNING)
		return;
	ts_serve_tls_names(ts_node_serve(engine->node), want, engine);
	if (has_listeners && own)
		want(engine, own);
	for (size_t i = 0; i < count && i < STORED_MAX; i++) {
		const char *one = json_string_value(json_array_get(domains, i));

		if (one)
			look_at_stored(engine, one);
	}
}

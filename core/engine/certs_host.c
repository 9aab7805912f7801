/* SPDX-License-Identifier: BSD-3-Clause
 * certs_host.c - certificates for the host's TLS, and their state for control
 * Source: feature/acme/c2n.go, client/local/cert.go (GetCertificate)
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/engine/cert_issue.h"
#include "core/engine/cert_name.h"
#include "core/engine/cert_share.h"
#include "core/engine/cert_store.h"
#include "core/engine/engine_internal.h"
#include "core/model/json_fields.h"

/* -- for the host --------------------------------------------------------- */

struct host_cert {
	struct cert_wait *wait;
	ts_host_cert_fn fn;
	void *ctx;
};

static void on_host_answer(void *ctx, const struct cert_answer *a)
{
	struct host_cert done = *(struct host_cert *)ctx;

	free(ctx);
	if (a->pair)
		done.fn(done.ctx, a->pair->key_pem, a->pair->chain_pem, NULL);
	else
		done.fn(done.ctx, NULL, NULL, a->error);
}

static void *host_start(void *ctx, const char *name, unsigned limit_ms,
			ts_host_cert_fn fn, void *fn_ctx)
{
	struct ts_engine *engine = ctx;
	const struct ts_netmap *map = ts_node_netmap(engine->node);
	/* At the end the host may outlive them by a moment. */
	struct host_cert *wanted =
		engine->certs ? malloc(sizeof(*wanted)) : NULL;

	if (!wanted)
		return NULL;
	*wanted = (struct host_cert){.fn = fn, .ctx = fn_ctx};
	if (!strchr(name, '.') && map->dns) {
		const char *whole = ts_cert_domain_expand(
			name, ts_json_array(map->dns->raw, "CertDomains"));

		name = whole ? whole : name;
	}
	wanted->wait = certs_get(engine, name, 0, limit_ms, on_host_answer,
				 wanted);
	if (wanted->wait)
		return wanted;
	free(wanted);
	return NULL;
}

static void host_cancel(void *handle)
{
	struct host_cert *wanted = handle;

	certs_cancel(wanted->wait);
	free(wanted);
}

static bool host_proof(void *ctx, const char *name, const char **key_pem,
		       const char **chain_pem)
{
	const struct ts_engine *engine = ctx;
	const struct cert_name *known =
		engine->certs ? certs_find(engine, name) : NULL;
	const struct ts_cert_pair *proof =
		known && known->issue ? cert_issue_proof(known->issue) : NULL;

	if (!proof)
		return false;
	*key_pem = proof->key_pem;
	*chain_pem = proof->chain_pem;
	return true;
}

static void host_listened(void *ctx)
{
	certs_listened(ctx);
}

const struct ts_host_cert_ops engine_cert_ops = {
	.start = host_start,
	.cancel = host_cancel,
	.proof = host_proof,
	.listened = host_listened,
};

/* -- for the control server ----------------------------------------------- */

static void add_time(json_t *info, const char *field, int64_t at)
{
	char text[TS_TIME_TEXT_CAP];

	json_object_set_new(info, field,
			    json_string(ts_time_format(at, text)));
}

/* Of a shared one we know what we have read; a look would take its time. */
static int read_stored(struct ts_engine *engine, const struct cert_name *name,
		       const char *domain, struct ts_cert_pair *out)
{
	if (!cert_share_is_on(engine, domain))
		return cert_store_read(engine, domain, out);
	if (!name || !name->pair.key_pem)
		return -ENOENT;
	out->key_pem = strdup(name->pair.key_pem);
	out->chain_pem = strdup(name->pair.chain_pem);
	if (out->key_pem && out->chain_pem)
		return 0;
	ts_cert_pair_deinit(out);
	return -ENOMEM;
}

json_t *certs_status(struct ts_engine *engine, const char *domain)
{
	struct ts_cert_pair pair = {NULL, NULL};
	const struct cert_name *name = certs_find(engine, domain);
	json_t *out = json_object();
	struct ts_cert_info info;
	enum ts_cert_verdict verdict = TS_CERT_UNREADABLE;
	int err = ts_cert_domain_looks_fine(domain)
			  ? read_stored(engine, name, domain, &pair)
			  : -EINVAL;

	if (!err)
		verdict = cert_store_judge(engine, &pair, domain,
					   name && name->is_ours);
	if (!err && verdict == TS_CERT_FINE &&
	    ts_cert_info(pair.chain_pem, &info) == 0) {
		json_object_set_new(out, "Valid", json_true());
		add_time(out, "NotBefore", info.not_before);
		add_time(out, "NotAfter", info.not_after);
	} else if (!err) {
		json_object_set_new(out, "Error", json_string("cert expired"));
		json_object_set_new(out, "Expired", json_true());
	} else {
		json_object_set_new(out, "Error",
				    json_string(err == -ENOENT
							? "no certificate"
						: err == -EINVAL
							? "invalid domain"
							: ts_strerror(err)));
		if (err == -ENOENT)
			json_object_set_new(out, "Missing", json_true());
	}
	ts_cert_pair_deinit(&pair);
	return out;
}

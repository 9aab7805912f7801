/* SPDX-License-Identifier: BSD-3-Clause
 * node_lock_alone.c - what a person does about Tailnet Lock without the server
 *
 * Switching it off here, and what is only signed here: auth keys, and updates
 * that others sign as well before anybody sends them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/encode.h"
#include "core/base/log.h"
#include "core/crypto/secret.h"
#include "core/node/node_internal.h"
#include "core/node/node_lock_admin.h"
#include "core/tka/tka_builder.h"

/* -- off ------------------------------------------------------------------ */

static void disallow(struct ts_node *node)
{
	json_t *unknown = node->prefs.unknown;
	json_t *config = json_object_get(unknown, "Config"), *list;
	char id[48];

	if (!json_is_object(config)) {
		config = json_object();
		json_object_set_new(unknown, "Config", config);
	}
	list = json_object_get(config, "DisallowedTKAStateIDs");
	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(config, "DisallowedTKAStateIDs", list);
	}
	node_lock_state_id(node->lock.tka, id);
	json_array_append_new(list, json_string(id));
}

const char *ts_node_lock_disable_locally(struct ts_node *node, uint64_t now_ms)
{
	struct node_lock *lock = &node->lock;
	int err;

	node->now_ms = now_ms;
	if (!lock->tka)
		return NODE_LOCK_NOT_ACTIVE;
	disallow(node);
	node->io.persist(node->io_ctx);
	err = ts_tka_remove_all(lock->tka);
	if (err)
		return "the chain cannot be removed";
	ts_tka_free(lock->tka);
	lock->tka = NULL;
	lock->is_disallowed = true;
	log_warn("node-%s: Tailnet Lock was disabled on this node",
		 node->prefs.hostname);
	node_lock_changed(node);
	return NULL;
}

/* -- auth keys ------------------------------------------------------------ */

char *ts_node_lock_wrap(const struct ts_node *node, const char *auth_key,
			const struct ts_nl_private_key *signer,
			const char **error)
{
	uint8_t credential[TS_NKS_LEN_MAX];
	struct ts_nl_private_key delegate;
	struct ts_public_key public;
	char *sig, *key, *text = NULL;
	int len;

	*error = node->lock.tka ? NULL : NODE_LOCK_NOT_ACTIVE;
	if (*error)
		return NULL;
	ts_nl_key_generate(&delegate);
	ts_nl_public(&delegate, &public);
	len = ts_nks_delegate(signer, &public, credential);
	sig = len < 0 ? NULL : ts_base64_encode(credential, (size_t)len);
	key = ts_base64_encode(delegate.bytes, sizeof(delegate.bytes));
	/* Without padding, as upstream cuts it. */
	if (sig && key &&
	    asprintf(&text, "%s--TL%.*s-%.*s", auth_key,
		     (int)strcspn(sig, "="), sig, (int)strcspn(key, "="),
		     key) < 0)
		text = NULL;
	ts_wipe(&delegate, sizeof(delegate));
	free(sig);
	ts_wipe_free_text(key);
	if (!text)
		*error = NODE_LOCK_NO_MEMORY;
	return text;
}

/* -- recovery ------------------------------------------------------------- */

struct ts_tka_aum *ts_node_lock_make_recovery(const struct ts_node *node,
					      const struct ts_public_key *keys,
					      size_t count,
					      const struct ts_tka_hash *from,
					      const char **error)
{
	struct ts_tka_aum *aum = NULL;
	int err;

	*error = node->lock.tka ? NULL : NODE_LOCK_NOT_ACTIVE;
	if (*error)
		return NULL;
	err = ts_tka_make_recovery(node->lock.tka, keys, count, from,
				   node_lock_own_key(node), &aum);
	if (err == -ENOENT)
		*error = "no provided key is currently trusted";
	else if (err == -EPROTO)
		*error = "cannot revoke all trusted keys, or fork from there";
	else if (err)
		*error = NODE_LOCK_NO_MEMORY;
	return aum;
}

struct ts_tka_aum *ts_node_lock_cosign(const struct ts_node *node,
				       const struct ts_tka_aum *aum,
				       const char **error)
{
	struct ts_tka_aum *out = NULL;
	int err;

	*error = node->lock.tka ? NULL : NODE_LOCK_NOT_ACTIVE;
	if (*error)
		return NULL;
	err = ts_tka_aum_cosign(aum, node_lock_own_key(node), &out);
	if (err == -EEXIST)
		*error = "this node has already signed this recovery AUM";
	else if (err)
		*error = "signing failed";
	return out;
}

/* SPDX-License-Identifier: BSD-3-Clause
 * node_set_dns.c - a TXT record below our name, as CAs ask for
 * Source: control/controlclient/direct.go (setDNSNoise), tailcfg
 * (SetDNSRequest); PROTOCOL 4.7
 *
 * The control server owns the names of the tailnet, and takes records of very
 * few names and values only.
 */
#include "core/node/node_set_dns.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/control/register_json.h"
#include "core/crypto/keys.h"

enum { TEXT_MAX = 512, WORDS_MAX = 200, ERROR_CAP = 256 };

struct question {
	ts_node_set_dns_fn fn;
	void *ctx;
};

/* One line of what the server says. */
static void describe(int status, const void *body, size_t len,
		     char out[static ERROR_CAP])
{
	const char *text = body;
	size_t at = (size_t)snprintf(out, ERROR_CAP, "set-dns response: %d, ",
				     status);

	for (size_t i = 0; i < len && i < WORDS_MAX; i++) {
		unsigned char c = (unsigned char)text[i];

		out[at++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	out[at] = '\0';
	while (at > 0 && strchr(" ,", out[at - 1]))
		out[--at] = '\0';
}

static void on_reply(void *ctx, int status, const void *body, size_t len,
		     const char *error)
{
	struct question asked = *(struct question *)ctx;
	char words[ERROR_CAP];

	free(ctx);
	if (!error && status != 200) {
		describe(status, body, len, words);
		error = words;
	}
	asked.fn(asked.ctx, error);
}

static char *make_body(const struct ts_node *node, const char *name,
		       const char *value)
{
	struct ts_public_key key;
	char key_text[TS_KEY_TEXT_CAP];
	json_t *rq;
	char *text;

	ts_node_public_key(node, &key);
	ts_public_key_format(&key, TS_PREFIX_NODE, key_text);
	rq = json_pack("{s:i, s:s, s:s, s:s, s:s}", "Version",
		       TS_CAPABILITY_VERSION, "NodeKey", key_text, "Name",
		       name, "Type", "TXT", "Value", value);
	text = json_dumps(rq, JSON_COMPACT);
	json_decref(rq);
	return text;
}

int ts_node_set_dns(struct ts_node *node, const char *name, const char *value,
		    ts_node_set_dns_fn fn, void *ctx, uint64_t now_ms)
{
	struct question *asked;
	char *body;
	int err;

	if (strlen(name) > TEXT_MAX || strlen(value) > TEXT_MAX)
		return -EINVAL;
	asked = malloc(sizeof(*asked));
	body = asked ? make_body(node, name, value) : NULL;
	err = body ? 0 : -ENOMEM;
	if (!err) {
		*asked = (struct question){.fn = fn, .ctx = ctx};
		err = ts_node_request(node, "/machine/set-dns", body, on_reply,
				      asked, now_ms);
	}
	if (err)
		free(asked);
	free(body);
	return err;
}

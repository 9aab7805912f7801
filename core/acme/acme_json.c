/* SPDX-License-Identifier: BSD-3-Clause
 * acme_json.c - what an ACME server answers, checked
 * Source: RFC 8555 (6.7, 7.1), RFC 7807, RFC 9773 4
 */
#include "core/acme/acme_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/model/json_fields.h"

#define ERROR_TYPE "urn:ietf:params:acme:error:"

enum { CHALLENGES_MAX = 16, IDENTIFIER_MAX = 253, DETAIL_MAX = 200 };

/* -- texts ---------------------------------------------------------------- */

bool ts_acme_url_is_fine(const char *url, const char *base)
{
	const char *colon = base ? strstr(base, "://") : NULL;
	size_t scheme = colon ? (size_t)(colon - base) + 3 : 0;

	if (!url || !scheme || strlen(url) > TS_ACME_URL_MAX ||
	    strncasecmp(url, base, scheme) != 0 || !url[scheme])
		return false;
	for (const char *at = url; *at; at++)
		if (*at <= ' ' || *at >= 0x7f || strchr("\"<>\\^`{|}", *at))
			return false;
	return true;
}

bool ts_acme_token_is_fine(const char *token)
{
	size_t len = token ? strlen(token) : 0;

	return len > 0 && len <= TS_ACME_TOKEN_MAX &&
	       strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			     "abcdefghijklmnopqrstuvwxyz0123456789-_") == len;
}

/* One line, for a log. */
static void add_words(char out[static TS_ACME_WORDS_CAP], const char *text)
{
	size_t at = strlen(out);

	for (size_t n = 0; *text && n < DETAIL_MAX; text++, n++) {
		unsigned char c = (unsigned char)*text;

		if (at + 1 >= TS_ACME_WORDS_CAP)
			break;
		out[at++] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	out[at] = '\0';
}

/* A problem's type without what all of them begin with, and its detail. */
static void describe(const json_t *problem, char out[static TS_ACME_WORDS_CAP])
{
	const char *type = ts_json_text(problem, "type");
	const char *detail = ts_json_text(problem, "detail");
	size_t prefix = strlen(ERROR_TYPE);

	out[0] = '\0';
	if (type && strncmp(type, ERROR_TYPE, prefix) == 0)
		type += prefix;
	if (type)
		add_words(out, type);
	if (type && detail)
		add_words(out, ": ");
	if (detail)
		add_words(out, detail);
}

/* 0 with NULL when it is not there. */
static int take_url(const json_t *obj, const char *name, const char *base,
		    char **out)
{
	const char *url = ts_json_text(obj, name);

	*out = NULL;
	if (!url)
		return 0;
	if (!ts_acme_url_is_fine(url, base))
		return -EBADMSG;
	*out = strdup(url);
	return *out ? 0 : -ENOMEM;
}

static int need_url(const json_t *obj, const char *name, const char *base,
		    char **out)
{
	int err = take_url(obj, name, base, out);

	return !err && !*out ? -EBADMSG : err;
}

static json_t *load(const char *body, size_t len)
{
	json_t *root = len <= TS_ACME_ANSWER_MAX
			       ? json_loadb(body, len, TS_JSON_READ_FLAGS, NULL)
			       : NULL;

	if (json_is_object(root))
		return root;
	json_decref(root);
	return NULL;
}

static enum ts_acme_status read_status(const json_t *obj)
{
	static const char *const names[] = {
		[TS_ACME_PENDING] = "pending",
		[TS_ACME_READY] = "ready",
		[TS_ACME_PROCESSING] = "processing",
		[TS_ACME_VALID] = "valid",
	};
	const char *text = ts_json_text(obj, "status");

	for (size_t i = 0; text && i <= TS_ACME_VALID; i++)
		if (strcmp(text, names[i]) == 0)
			return (enum ts_acme_status)i;
	return TS_ACME_INVALID;
}

/* -- answers -------------------------------------------------------------- */

int ts_acme_read_directory(const char *body, size_t len, const char *base,
			   struct ts_acme_directory *out)
{
	json_t *root = load(body, len);
	int err = root ? 0 : -EBADMSG;

	memset(out, 0, sizeof(*out));
	if (!err)
		err = need_url(root, "newNonce", base, &out->new_nonce);
	if (!err)
		err = need_url(root, "newAccount", base, &out->new_account);
	if (!err)
		err = need_url(root, "newOrder", base, &out->new_order);
	if (!err)
		err = take_url(root, "renewalInfo", base, &out->renewal_info);
	json_decref(root);
	if (err)
		ts_acme_directory_deinit(out);
	return err;
}

void ts_acme_directory_deinit(struct ts_acme_directory *d)
{
	free(d->new_nonce);
	free(d->new_account);
	free(d->new_order);
	free(d->renewal_info);
	memset(d, 0, sizeof(*d));
}

static int read_authz_urls(const json_t *root, const char *base,
			   struct ts_acme_order_answer *out)
{
	const json_t *list = ts_json_array(root, "authorizations");
	size_t count = json_array_size(list);

	if (count == 0 || count > TS_ACME_AUTHZ_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < count; i++) {
		const char *url = json_string_value(json_array_get(list, i));

		if (!ts_acme_url_is_fine(url, base))
			return -EBADMSG;
		out->authz[i] = strdup(url);
		if (!out->authz[i])
			return -ENOMEM;
		out->authz_count++;
	}
	return 0;
}

int ts_acme_read_order(const char *body, size_t len, const char *base,
		       struct ts_acme_order_answer *out)
{
	json_t *root = load(body, len);
	int err = root ? 0 : -EBADMSG;

	memset(out, 0, sizeof(*out));
	if (!err)
		err = read_authz_urls(root, base, out);
	if (!err)
		err = need_url(root, "finalize", base, &out->finalize);
	if (!err)
		err = take_url(root, "certificate", base, &out->certificate);
	if (!err) {
		out->status = read_status(root);
		describe(ts_json_object(root, "error"), out->words);
	}
	if (!err && out->status == TS_ACME_VALID && !out->certificate)
		err = -EBADMSG;
	json_decref(root);
	if (err)
		ts_acme_order_answer_deinit(out);
	return err;
}

void ts_acme_order_answer_deinit(struct ts_acme_order_answer *o)
{
	for (size_t i = 0; i < o->authz_count; i++)
		free(o->authz[i]);
	free(o->finalize);
	free(o->certificate);
	memset(o, 0, sizeof(*o));
}

static int read_challenge(const json_t *challenge, const char *base,
			  struct ts_acme_authz *out)
{
	const char *token = ts_json_text(challenge, "token");
	int err;

	if (!ts_acme_token_is_fine(token))
		return -EBADMSG;
	err = need_url(challenge, "url", base, &out->url);
	if (err)
		return err;
	out->token = strdup(token);
	out->is_accepted = read_status(challenge) != TS_ACME_PENDING;
	describe(ts_json_object(challenge, "error"), out->words);
	return out->token ? 0 : -ENOMEM;
}

static int find_challenge(const json_t *root, const char *base,
			  const char *wanted, struct ts_acme_authz *out)
{
	const json_t *list = ts_json_array(root, "challenges");
	size_t count = json_array_size(list);

	for (size_t i = 0; i < count && i < CHALLENGES_MAX; i++) {
		const json_t *challenge = json_array_get(list, i);
		const char *type = ts_json_text(challenge, "type");

		if (type && strcmp(type, wanted) == 0)
			return read_challenge(challenge, base, out);
	}
	return 0;
}

int ts_acme_read_authz(const char *body, size_t len, const char *base,
		       const char *challenge, struct ts_acme_authz *out)
{
	json_t *root = load(body, len);
	const json_t *id = ts_json_object(root, "identifier");
	const char *domain = ts_json_text(id, "value");
	int err = root && domain && strlen(domain) <= IDENTIFIER_MAX
			  ? 0 : -EBADMSG;

	memset(out, 0, sizeof(*out));
	if (!err)
		err = find_challenge(root, base, challenge, out);
	if (!err) {
		out->status = read_status(root);
		out->domain = strdup(strncmp(domain, "*.", 2) == 0 ? domain + 2
								   : domain);
		err = out->domain ? 0 : -ENOMEM;
	}
	json_decref(root);
	if (err)
		ts_acme_authz_deinit(out);
	return err;
}

void ts_acme_authz_deinit(struct ts_acme_authz *a)
{
	free(a->domain);
	free(a->url);
	free(a->token);
	memset(a, 0, sizeof(*a));
}

static bool is_type(const char *type, const char *name)
{
	size_t prefix = strlen(ERROR_TYPE);

	return type && strncmp(type, ERROR_TYPE, prefix) == 0 &&
	       strcmp(type + prefix, name) == 0;
}

void ts_acme_read_problem(int status, const char *body, size_t len,
			  struct ts_acme_problem *out)
{
	json_t *root = load(body, len);
	const char *type = ts_json_text(root, "type");

	memset(out, 0, sizeof(*out));
	out->is_bad_nonce = is_type(type, "badNonce");
	out->is_replaced = is_type(type, "alreadyReplaced");
	out->is_rate_limit = is_type(type, "rateLimited") || status == 429;
	describe(root, out->words);
	if (!out->words[0])
		snprintf(out->words, sizeof(out->words), "HTTP status %d",
			 status);
	json_decref(root);
}

bool ts_acme_account_is_valid(const char *body, size_t len)
{
	json_t *root = load(body, len);
	bool is_valid = root && read_status(root) == TS_ACME_VALID;

	json_decref(root);
	return is_valid;
}

int ts_acme_read_window(const char *body, size_t len, int64_t *first,
			int64_t *last)
{
	json_t *root = load(body, len);
	const json_t *window = ts_json_object(root, "suggestedWindow");

	*first = ts_json_time(window, "start");
	*last = ts_json_time(window, "end");
	json_decref(root);
	return *first > 0 && *last > *first ? 0 : -EBADMSG;
}

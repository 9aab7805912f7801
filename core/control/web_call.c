/* SPDX-License-Identifier: BSD-3-Clause
 * web_call.c - one HTTP request that a core wants made, and what came of it
 */
#include "core/control/web_call.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clean_text.h"
#include "core/base/encode.h"
#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/model/json_fields.h"

enum {
	TIMEOUT_MS = 10000,
	TOO_MANY = 429,
	TIMED_OUT = 408,
	QUOTED_MIN = 12, /* what is shorter says no more than its kind */
};

/* -- calls ---------------------------------------------------------------- */

static char *format(struct ts_web_call *call, const char *fmt, va_list args)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	if (!text || strlen(text) > TS_WEB_TEXT_MAX ||
	    !ts_is_clean_text(text)) {
		call->is_bad = true;
		ts_wipe_free_text(text);
		return NULL;
	}
	return text;
}

void ts_web_call_init(struct ts_web_call *call, const char *method,
		      const char *url_fmt, ...)
{
	va_list args;

	*call = (struct ts_web_call){.method = method,
				     .timeout_ms = TIMEOUT_MS};
	va_start(args, url_fmt);
	call->url = format(call, url_fmt, args);
	va_end(args);
	if (call->url && strchr(call->url, ' '))
		call->is_bad = true;
}

void ts_web_call_field(struct ts_web_call *call, const char *fmt, ...)
{
	va_list args;
	char *text;

	if (call->field_count == TS_WEB_FIELDS_MAX) {
		call->is_bad = true;
		return;
	}
	va_start(args, fmt);
	text = format(call, fmt, args);
	va_end(args);
	if (text)
		call->fields[call->field_count++] = text;
}

void ts_web_call_take_body(struct ts_web_call *call, char *body)
{
	ts_wipe_free_text(call->body);
	call->body = body;
	if (!body)
		call->is_bad = true;
}

void ts_web_call_basic(struct ts_web_call *call, const char *user,
		       const char *password)
{
	char *pair = NULL, *text;

	if (asprintf(&pair, "%s:%s", user, password) < 0)
		pair = NULL;
	text = pair ? ts_base64_encode(pair, strlen(pair)) : NULL;
	if (text)
		ts_web_call_field(call, "Authorization: Basic %s", text);
	else
		call->is_bad = true;
	ts_wipe_free_text(text);
	ts_wipe_free_text(pair);
}

void ts_web_call_deinit(struct ts_web_call *call)
{
	ts_wipe_free_text(call->url);
	ts_wipe_free_text(call->body);
	for (size_t i = 0; i < call->field_count; i++)
		ts_wipe_free_text(call->fields[i]);
	*call = (struct ts_web_call){0};
}

/* -- forms ---------------------------------------------------------------- */

static bool is_plain(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || (c && strchr("-_.~", c));
}

static int push_escaped(struct ts_byte_queue *to, const char *text)
{
	char hex[4];
	int err = 0;

	for (; *text && !err; text++) {
		unsigned char c = (unsigned char)*text;

		snprintf(hex, sizeof(hex), "%%%02X", c);
		if (is_plain(c))
			err = ts_byte_queue_push(to, text, 1);
		else if (c == ' ')
			err = ts_byte_queue_push(to, "+", 1);
		else
			err = ts_byte_queue_push(to, hex, 3);
	}
	return err;
}

/* The queue's bytes as heap text; the queue is empty then. */
static char *take_text(struct ts_byte_queue *q)
{
	char *text = NULL;

	if (ts_byte_queue_len(q) == 0)
		text = strdup("");
	else
		text = strndup((const char *)ts_byte_queue_data(q),
			       ts_byte_queue_len(q));
	ts_byte_queue_deinit(q);
	return text;
}

void ts_web_form_init(struct ts_web_form *form)
{
	ts_byte_queue_init(&form->text, TS_WEB_TEXT_MAX);
	form->is_bad = false;
}

void ts_web_form_add(struct ts_web_form *form, const char *name,
		     const char *value)
{
	int err = 0;

	if (ts_byte_queue_len(&form->text) > 0)
		err = ts_byte_queue_push(&form->text, "&", 1);
	if (!err)
		err = push_escaped(&form->text, name);
	if (!err)
		err = ts_byte_queue_push(&form->text, "=", 1);
	if (!err)
		err = push_escaped(&form->text, value);
	form->is_bad |= err != 0;
}

char *ts_web_form_take(struct ts_web_form *form)
{
	if (!form->is_bad)
		return take_text(&form->text);
	ts_byte_queue_deinit(&form->text);
	return NULL;
}

char *ts_web_escape(const char *text)
{
	struct ts_byte_queue q;

	ts_byte_queue_init(&q, TS_WEB_TEXT_MAX);
	if (push_escaped(&q, text)) {
		ts_byte_queue_deinit(&q);
		return NULL;
	}
	return take_text(&q);
}

/* -- replies -------------------------------------------------------------- */

bool ts_web_is_success(const struct ts_web_reply *reply)
{
	return reply->status >= 200 && reply->status < 300;
}

bool ts_web_is_passing(const struct ts_web_reply *reply)
{
	return reply->status == 0 || reply->status == TOO_MANY ||
	       reply->status == TIMED_OUT || reply->status >= 500;
}

static json_t *read_json(const struct ts_web_reply *reply)
{
	return json_loadb(reply->body, reply->len, TS_JSON_READ_FLAGS, NULL);
}

void ts_web_words(const struct ts_web_reply *reply,
		  char out[static TS_WEB_WORDS_CAP])
{
	static const char *const names[] = {"message", "error_description",
					    "error"};
	json_t *root = reply->len ? read_json(reply) : NULL;
	const char *text = NULL;
	size_t len;

	for (size_t i = 0; i < ARRAY_LEN(names) && !text; i++)
		text = ts_json_text(root, names[i]);
	snprintf(out, TS_WEB_WORDS_CAP, "%s",
		 text ? text : reply->len ? reply->body : "");
	ts_clean_text(out, ' ');
	for (len = strlen(out); len > 0 && out[len - 1] == ' '; len--)
		out[len - 1] = '\0';
	json_decref(root);
}

/* How much of the secret stands there. */
static size_t quoted_len(const char *at, const char *secret)
{
	size_t len = 0;

	while (secret[len] && at[len] == secret[len])
		len++;
	return secret[len] && len < QUOTED_MIN ? 0 : len;
}

void ts_web_hide(char *text, const char *secret)
{
	for (char *at = text; secret && *secret && *at; at++)
		memset(at, '*', quoted_len(at, secret));
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

int ts_web_read_token(const char *text, size_t len, char **out)
{
	*out = NULL;
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	while (len > 0 && is_blank(*text)) {
		text++;
		len--;
	}
	if (len == 0 || len > TS_WEB_TEXT_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return -EBADMSG;
	*out = strndup(text, len);
	return *out ? 0 : -ENOMEM;
}

int ts_web_read_json_token(const struct ts_web_reply *reply, const char *name,
			   char **out)
{
	json_t *root = read_json(reply);
	const char *text = ts_json_text(root, name);
	int err = -EBADMSG;

	*out = NULL;
	if (text) {
		err = ts_web_read_token(text, strlen(text), out);
		ts_wipe((char *)(uintptr_t)text, strlen(text));
	}
	json_decref(root);
	return err;
}

/* SPDX-License-Identifier: BSD-3-Clause
 * web_call.h - one HTTP request that a core wants made, and what came of it
 *
 * For the cores that talk to web services without doing I/O: they fill in a
 * ts_web_call, the engine has it sent, and a ts_web_reply comes back. Both can
 * hold credentials, so all of a call's texts are wiped, and no field or URL
 * with a control character in it is ever made: that would be another request.
 */
#ifndef CORE_CONTROL_WEB_CALL_H
#define CORE_CONTROL_WEB_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/byte_queue.h"

enum {
	TS_WEB_FIELDS_MAX = 8,
	TS_WEB_TEXT_MAX = 64 * 1024, /* of a field, a body, a secret */
	TS_WEB_WORDS_CAP = 168,
};

struct ts_web_call {
	const char *method;
	char *url;
	char *fields[TS_WEB_FIELDS_MAX]; /* "Name: value" */
	size_t field_count;
	char *body;		/* NULL: none */
	const char *want_field; /* of the answer; NULL: none */
	bool is_near; /* the machine's own network: by no proxy */
	unsigned timeout_ms;
	bool is_bad; /* not to be sent: out of memory, or a forbidden byte */
};

void ts_web_call_init(struct ts_web_call *call, const char *method,
		      const char *url_fmt, ...)
	__attribute__((format(printf, 3, 4)));
void ts_web_call_field(struct ts_web_call *call, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* Takes the heap text; NULL makes the call bad. */
void ts_web_call_take_body(struct ts_web_call *call, char *body);
/* "Authorization: Basic base64(user:password)" */
void ts_web_call_basic(struct ts_web_call *call, const char *user,
		       const char *password);
void ts_web_call_deinit(struct ts_web_call *call);

/* name=value&..., escaped; take gives the heap text, NULL when out of memory
 * or too long. */
struct ts_web_form {
	struct ts_byte_queue text;
	bool is_bad;
};
void ts_web_form_init(struct ts_web_form *form);
void ts_web_form_add(struct ts_web_form *form, const char *name,
		     const char *value);
char *ts_web_form_take(struct ts_web_form *form);
/* As Go's url.QueryEscape; heap, or NULL. */
char *ts_web_escape(const char *text);

struct ts_web_reply {
	int status; /* 0: none, error says why */
	const char *body, *field, *error;
	size_t len;
};

bool ts_web_is_success(const struct ts_web_reply *reply);
/* Worth another try without anybody doing anything: no answer, too many
 * requests, a fault of the server. */
bool ts_web_is_passing(const struct ts_web_reply *reply);
/* What the server says, as one line for a person; "" when it says nothing. */
void ts_web_words(const struct ts_web_reply *reply,
		  char out[static TS_WEB_WORDS_CAP]);
/* Overwrites secret wherever text has it, or its beginning: servers quote what
 * they were sent, and their words are cut off. */
void ts_web_hide(char *text, const char *secret);
/* One word of printable bytes, as keys and tokens are, without the blanks
 * around it. The copy is the caller's, who wipes it. 0, -EBADMSG (none, or
 * something else), -ENOMEM. */
int ts_web_read_token(const char *text, size_t len, char **out);
/* That of a JSON object's field. */
int ts_web_read_json_token(const struct ts_web_reply *reply, const char *name,
			   char **out);

#endif

/* SPDX-License-Identifier: BSD-3-Clause
 * lab_command.h - the command socket: one line in, one line of JSON out
 */
#ifndef TESTS_LAB_LAB_COMMAND_H
#define TESTS_LAB_LAB_COMMAND_H

#include "tests/lab/lab.h"

enum { LAB_COMMAND_LINE_MAX = 8 << 20, LAB_COMMAND_ARGS_MAX = 32 };

struct lab_command_client;

/* One command on its way. */
struct lab_call {
	struct lab *lab;
	struct lab_command_client *client;
	int argc; /* with the command's own name */
	char *argv[LAB_COMMAND_ARGS_MAX];
	const char *line;  /* the whole line, as it came */
	const char *words; /* its copy that argv points into */
};

/* Returns the answer, or NULL when it comes later by lab_command_reply(). */
typedef json_t *(*lab_command_fn)(struct lab_call *call);

struct lab_command_entry {
	const char *name;
	int min_args, max_args; /* without the name; -1: a line's rest */
	lab_command_fn fn;
	const char *usage;
};

/* Tables that end with a NULL name. */
extern const struct lab_command_entry LAB_NODE_COMMANDS[];
extern const struct lab_command_entry LAB_FAULT_COMMANDS[];
extern const struct lab_command_entry LAB_QUERY_COMMANDS[];
extern const struct lab_command_entry LAB_LOCK_COMMANDS[];

/* 0 or a negative errno */
int lab_command_open(struct lab *lab, const char *path,
		     struct lab_command **out);
void lab_command_close(struct lab_command *cmd); /* NULL is fine */
/* Answer those who wait for something that is so by now; once a turn. */
void lab_command_check(struct lab_command *cmd);
/* The late answer of a call; steals answer. */
void lab_command_reply(struct lab_command_client *client, json_t *answer);
/* Call is_met once a turn until it answers, or answer an error when the time
 * is over. The call is kept; is_met returns NULL for "not yet". */
json_t *lab_command_wait(struct lab_call *call, lab_command_fn is_met,
			 uint64_t timeout_ms);
/* What client-side does: send words as a line, print the answer. The process's
 * exit status. */
int lab_command_send(const char *path, int argc, char **argv);

/* -- for the commands ----------------------------------------------------- */
json_t *lab_ok(void);
json_t *lab_count(size_t count); /* {"ok":true,"count":n} */
json_t *lab_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The line from argument n on. */
const char *lab_rest(const struct lab_call *call, int n);
/* The node that argument n names; NULL with *error set. */
struct lab_node *lab_arg_node(const struct lab_call *call, int n,
			      json_t **error);
/* "on" or "off" (or absent: on); 0 or -EINVAL with *error set. */
int lab_arg_on(const struct lab_call *call, int n, bool *on, json_t **error);
/* 0 or -EINVAL with *error set; absent: fallback. */
int lab_arg_number(const struct lab_call *call, int n, uint64_t fallback,
		   uint64_t *out, json_t **error);

#endif

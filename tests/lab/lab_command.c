/* SPDX-License-Identifier: BSD-3-Clause
 * lab_command.c - the command socket: one line in, one line of JSON out
 *
 * Lines of one connection are answered in order. A command may answer later
 * (a ping, a wait); the lines behind it stay in the queue until then.
 */
#include "tests/lab/lab_command.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/byte_queue.h"
#include "core/base/err.h"
#include "core/base/log.h"
#include "tests/lab/lab_listener.h"
#include "tests/lab/lab_ping.h"
#include "tests/lab/lab_stream.h"

struct lab_command_client {
	struct lab_command *cmd;
	struct lab_command_client *next, **pprev;
	struct lab_stream *stream;
	struct ts_byte_queue in;
	bool running, late; /* a command runs; its answer comes later */
	struct ts_timer *timer;
	struct lab_call call;  /* while late */
	lab_command_fn is_met; /* NULL: not a wait */
};

struct lab_command {
	struct lab *lab;
	struct lab_listener *listener;
	struct lab_command_client *clients;
};

static const struct lab_command_entry *const TABLES[] = {
	LAB_NODE_COMMANDS,
	LAB_FAULT_COMMANDS,
	LAB_QUERY_COMMANDS,
	LAB_LOCK_COMMANDS,
};

/* -- helpers of the commands ---------------------------------------------- */

json_t *lab_ok(void)
{
	return json_pack("{s:b}", "ok", 1);
}

json_t *lab_count(size_t count)
{
	return json_pack("{s:b, s:I}", "ok", 1, "count", (json_int_t)count);
}

json_t *lab_error(const char *fmt, ...)
{
	va_list ap;
	json_t *text;

	va_start(ap, fmt);
	text = json_vsprintf(fmt, ap);
	va_end(ap);
	return json_pack("{s:o}", "error",
			 text ? text : json_string("not UTF-8"));
}

const char *lab_rest(const struct lab_call *call, int n)
{
	if (n >= call->argc)
		return "";
	return call->line + (call->argv[n] - call->words);
}

struct lab_node *lab_arg_node(const struct lab_call *call, int n,
			      json_t **error)
{
	struct lab_node *node =
		n < call->argc ? lab_node_find(&call->lab->state, call->argv[n])
			       : NULL;

	if (!node)
		*error = lab_error("no node %s",
				   n < call->argc ? call->argv[n] : "named");
	return node;
}

int lab_arg_on(const struct lab_call *call, int n, bool *on, json_t **error)
{
	*on = true;
	if (n >= call->argc || !strcmp(call->argv[n], "on"))
		return 0;
	*on = false;
	if (!strcmp(call->argv[n], "off"))
		return 0;
	*error = lab_error("on or off, not %s", call->argv[n]);
	return -EINVAL;
}

int lab_arg_number(const struct lab_call *call, int n, uint64_t fallback,
		   uint64_t *out, json_t **error)
{
	char *end;

	*out = fallback;
	if (n >= call->argc)
		return 0;
	errno = 0;
	*out = strtoull(call->argv[n], &end, 10);
	if (!errno && *call->argv[n] >= '0' && *call->argv[n] <= '9' && !*end)
		return 0;
	*error = lab_error("not a number: %s", call->argv[n]);
	return -EINVAL;
}

/* -- running -------------------------------------------------------------- */

static const struct lab_command_entry *find_entry(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(TABLES); i++)
		for (const struct lab_command_entry *e = TABLES[i]; e->name;
		     e++)
			if (!strcmp(e->name, name))
				return e;
	return NULL;
}

static json_t *help(void)
{
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_LEN(TABLES); i++)
		for (const struct lab_command_entry *e = TABLES[i]; e->name;
		     e++)
			json_array_append_new(
				list, json_sprintf("%s %s", e->name, e->usage));
	return json_pack("{s:o}", "commands", list);
}

static void split(struct lab_call *call, char *words)
{
	char *save = NULL, *word = strtok_r(words, " \t", &save);

	while (word && call->argc < LAB_COMMAND_ARGS_MAX) {
		call->argv[call->argc++] = word;
		word = strtok_r(NULL, " \t", &save);
	}
}

static json_t *run(struct lab_call *call)
{
	const struct lab_command_entry *entry;

	if (!call->argc)
		return lab_error("empty line");
	if (!strcmp(call->argv[0], "help"))
		return help();
	entry = find_entry(call->argv[0]);
	if (!entry)
		return lab_error("unknown command: %s", call->argv[0]);
	if (call->argc - 1 < entry->min_args ||
	    (entry->max_args >= 0 && call->argc - 1 > entry->max_args))
		return lab_error("usage: %s %s", entry->name, entry->usage);
	return entry->fn(call);
}

static void write_answer(struct lab_command_client *c, json_t *answer)
{
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	json_decref(answer);
	lab_stream_write(c->stream, text ? text : "{\"error\":\"no answer\"}",
			 strlen(text ? text : "{\"error\":\"no answer\"}"));
	lab_stream_write(c->stream, "\n", 1);
	free(text);
}

static void end_late(struct lab_command_client *c)
{
	free((char *)(uintptr_t)c->call.line);
	free((char *)(uintptr_t)c->call.words);
	c->call = (struct lab_call){0};
	c->is_met = NULL;
	c->late = false;
	ts_timer_set(c->timer, UINT64_MAX);
}

/* Takes line and words. */
static void run_line(struct lab_command_client *c, char *line, char *words)
{
	json_t *answer;

	c->call = (struct lab_call){
		.lab = c->cmd->lab, .client = c, .line = line, .words = words};
	split(&c->call, words);
	answer = run(&c->call);
	if (!answer) {
		c->late = true;
		return;
	}
	write_answer(c, answer);
	end_late(c);
}

static void run_lines(struct lab_command_client *c)
{
	if (c->running)
		return;
	c->running = true;
	while (!c->late) {
		const char *data = (const char *)ts_byte_queue_data(&c->in);
		size_t len = ts_byte_queue_len(&c->in);
		const char *nl = len ? memchr(data, '\n', len) : NULL;
		char *line, *words;

		if (!nl)
			break;
		line = strndup(data, (size_t)(nl - data));
		words = strndup(data, (size_t)(nl - data));
		ts_byte_queue_drop(&c->in, (size_t)(nl - data) + 1);
		if (!line || !words) {
			free(line);
			free(words);
			break;
		}
		run_line(c, line, words);
	}
	c->running = false;
}

void lab_command_reply(struct lab_command_client *c, json_t *answer)
{
	write_answer(c, answer);
	end_late(c);
	run_lines(c);
}

json_t *lab_command_wait(struct lab_call *call, lab_command_fn is_met,
			 uint64_t timeout_ms)
{
	struct lab_command_client *c = call->client;
	json_t *answer = is_met(call);

	if (answer)
		return answer;
	c->is_met = is_met;
	ts_timer_set(c->timer, ts_loop_now_ms(call->lab->loop) + timeout_ms);
	return NULL;
}

void lab_command_check(struct lab_command *cmd)
{
	struct lab_command_client *next;

	for (struct lab_command_client *c = cmd->clients; c; c = next) {
		json_t *answer =
			c->late && c->is_met ? c->is_met(&c->call) : NULL;

		next = c->next;
		if (answer)
			lab_command_reply(c, answer);
	}
}

static void on_wait_over(void *ctx)
{
	struct lab_command_client *c = ctx;

	lab_command_reply(c, lab_error("not so in time: %s", c->call.line));
}

/* -- connections ---------------------------------------------------------- */

static void client_free(struct lab_command_client *c)
{
	lab_ping_cancel(c->cmd->lab->ping, c);
	*c->pprev = c->next;
	if (c->next)
		c->next->pprev = c->pprev;
	if (c->timer)
		end_late(c);
	ts_timer_free(c->timer);
	lab_stream_free(c->stream);
	ts_byte_queue_deinit(&c->in);
	free(c);
}

static void on_input(void *ctx, const uint8_t *data, size_t len)
{
	struct lab_command_client *c = ctx;

	if (ts_byte_queue_push(&c->in, data, len)) {
		log_warn("command: a line above %d bytes",
			 LAB_COMMAND_LINE_MAX);
		client_free(c);
		return;
	}
	run_lines(c);
}

static void on_closed(void *ctx, int err)
{
	(void)err;
	client_free(ctx);
}

static const struct lab_stream_ops STREAM_OPS = {
	.input = on_input,
	.closed = on_closed,
};

static void accepted(void *ctx, int fd)
{
	struct lab_command *cmd = ctx;
	struct lab_command_client *c = calloc(1, sizeof(*c));

	if (!c) {
		close(fd);
		return;
	}
	c->cmd = cmd;
	ts_byte_queue_init(&c->in, LAB_COMMAND_LINE_MAX);
	c->next = cmd->clients;
	c->pprev = &cmd->clients;
	if (c->next)
		c->next->pprev = &c->next;
	cmd->clients = c;
	c->timer = ts_timer_new(cmd->lab->loop, on_wait_over, c);
	c->stream = lab_stream_new(cmd->lab->loop, fd, NULL, &STREAM_OPS, c);
	if (!c->timer || !c->stream)
		client_free(c);
}

int lab_command_open(struct lab *lab, const char *path,
		     struct lab_command **out)
{
	struct lab_command *cmd = calloc(1, sizeof(*cmd));
	int err;

	if (!cmd)
		return -ENOMEM;
	cmd->lab = lab;
	err = lab_listener_open_path(lab->loop, path, accepted, cmd,
				     &cmd->listener);
	if (err)
		free(cmd);
	else
		*out = cmd;
	return err;
}

void lab_command_close(struct lab_command *cmd)
{
	if (!cmd)
		return;
	lab_listener_close(cmd->listener);
	while (cmd->clients)
		client_free(cmd->clients);
	free(cmd);
}

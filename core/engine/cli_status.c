/* SPDX-License-Identifier: BSD-3-Clause
 * cli_status.c - tsrun status: this node, its peers, and what is wrong
 *
 * A table whose columns are as wide as they have to be. --watch asks once a
 * second and prints when the answer is another one: on a terminal in the same
 * place, else below.
 */
#include "core/engine/cli_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/err.h"

enum { COLUMNS = 4, WATCH_S = 1, STATE_CAP = 256 };

/* All but the last column. */
struct row {
	const char *cells[COLUMNS];
	int lengths[COLUMNS];
};

static const char *owner_of(const json_t *peer, const json_t *users)
{
	const json_t *id = json_object_get(peer, "AltSharerUserID");
	char key[24];
	const char *name;

	if (json_array_size(json_object_get(peer, "Tags")) > 0)
		return "tagged-devices";
	if (!id)
		id = json_object_get(peer, "UserID");
	snprintf(key, sizeof(key), "%lld", (long long)json_integer_value(id));
	name = cli_text(json_object_get(users, key), "LoginName");
	return *name ? name : "-";
}

static struct row row_of(const json_t *peer, const json_t *users)
{
	const char *name = cli_text(peer, "DNSName");
	const char *os = cli_text(peer, "OS");
	struct row row = {.cells = {cli_first_ip(peer), name,
				    owner_of(peer, users), *os ? os : "-"}};

	if (!*name)
		row.cells[1] = cli_text(peer, "HostName");
	for (size_t i = 0; i < COLUMNS; i++)
		row.lengths[i] = (int)strlen(row.cells[i]);
	row.lengths[1] = (int)strcspn(row.cells[1], ".");
	return row;
}

static void widen(int widths[static COLUMNS], const struct row *row)
{
	for (size_t i = 0; i < COLUMNS; i++)
		if (row->lengths[i] > widths[i])
			widths[i] = row->lengths[i];
}

static void print_row(FILE *f, const struct row *row,
		      const int widths[static COLUMNS])
{
	for (size_t i = 0; i < COLUMNS; i++)
		fprintf(f, "%-*.*s  ", widths[i], row->lengths[i],
			row->cells[i]);
}

/* -- what a peer is doing ------------------------------------------------- */
static void format_age(char *out, size_t cap, const char *rfc3339)
{
	struct tm tm = {0};
	char *end = strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm);
	long long age_s = (long long)(time(NULL) - timegm(&tm));

	*out = '\0';
	if (!end || tm.tm_year < 100 || age_s < 0) /* Go's zero time */
		return;
	if (age_s < 60)
		snprintf(out, cap, ", last seen just now");
	else if (age_s < 3600)
		snprintf(out, cap, ", last seen %lld min ago", age_s / 60);
	else if (age_s < 48 * 3600)
		snprintf(out, cap, ", last seen %lld h ago", age_s / 3600);
	else
		snprintf(out, cap, ", last seen %lld days ago", age_s / 86400);
}

static void format_state(char out[static STATE_CAP], const json_t *peer)
{
	const char *addr = cli_text(peer, "CurAddr");
	const char *relay = cli_text(peer, "PeerRelay");
	char age[64];

	if (json_is_true(json_object_get(peer, "Expired"))) {
		snprintf(out, STATE_CAP, "key expired");
	} else if (!json_is_true(json_object_get(peer, "Online"))) {
		format_age(age, sizeof(age), cli_text(peer, "LastSeen"));
		snprintf(out, STATE_CAP, "offline%s", age);
	} else if (!json_is_true(json_object_get(peer, "Active"))) {
		snprintf(out, STATE_CAP, "idle");
	} else if (*addr) {
		snprintf(out, STATE_CAP, "active; direct %.100s", addr);
	} else if (*relay) {
		snprintf(out, STATE_CAP, "active; peer-relay %.100s", relay);
	} else {
		snprintf(out, STATE_CAP, "active; relay \"%.64s\"",
			 cli_text(peer, "Relay"));
	}
}

static const char *exit_node_mark(const json_t *peer)
{
	if (json_is_true(json_object_get(peer, "ExitNode")))
		return "; exit node";
	if (json_is_true(json_object_get(peer, "ExitNodeOption")))
		return "; offers exit node";
	return "";
}

static long long count_of(const json_t *peer, const char *key)
{
	return (long long)json_integer_value(json_object_get(peer, key));
}

static void print_peer(FILE *f, const json_t *peer, const struct row *row,
		       const int widths[static COLUMNS])
{
	char state[STATE_CAP];

	format_state(state, peer);
	print_row(f, row, widths);
	fprintf(f, "%s%s, tx %lld rx %lld\n", state, exit_node_mark(peer),
		count_of(peer, "TxBytes"), count_of(peer, "RxBytes"));
}

/* -- the whole ------------------------------------------------------------ */
static const char *words_of(const char *state)
{
	static const struct {
		const char *state, *words;
	} known[] = {
		{"NoState", "the node has just been started"},
		{"Starting", "the node connects to its tailnet"},
		{"NeedsLogin", "somebody has to log this node in"},
		{"NeedsMachineAuth", "an administrator of the tailnet has to "
				     "approve this node"},
		{"Stopped", "the node is stopped"},
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strcmp(known[i].state, state) == 0)
			return known[i].words;
	return "";
}

static bool is_running(const json_t *status)
{
	return strcmp(cli_text(status, "BackendState"), "Running") == 0;
}

static void print_head(FILE *f, const json_t *status)
{
	const char *state = cli_text(status, "BackendState");
	const char *url = cli_text(status, "AuthURL");

	if (is_running(status))
		return;
	fprintf(f, "# state: %s: %s\n", state, words_of(state));
	if (*url)
		fprintf(f, "# to join the tailnet, visit %s\n", url);
}

static void print_health(FILE *f, const json_t *status)
{
	const json_t *list = json_object_get(status, "Health");
	size_t i;
	json_t *item;

	if (json_array_size(list) > 0)
		fputs("\n# Health check:\n", f);
	json_array_foreach(list, i, item)
		fprintf(f, "#   - %s\n", json_string_value(item));
}

static void print_status(FILE *f, const json_t *status)
{
	const json_t *users = json_object_get(status, "User");
	json_t *self = json_object_get(status, "Self"), *peer;
	json_t *peers = json_object_get(status, "Peer");
	int widths[COLUMNS] = {0};
	struct row row = row_of(self, users);
	const char *key;

	widen(widths, &row);
	json_object_foreach(peers, key, peer) {
		row = row_of(peer, users);
		widen(widths, &row);
	}
	print_head(f, status);
	row = row_of(self, users);
	print_row(f, &row, widths);
	fputs("this node\n", f);
	json_object_foreach(peers, key, peer) {
		row = row_of(peer, users);
		print_peer(f, peer, &row, widths);
	}
	print_health(f, status);
}

/* Heap, NULL: no memory. */
static char *format_status(const struct cli *cli, const json_t *status)
{
	char *text = NULL;
	size_t len;
	FILE *f;

	if (cli->json)
		return json_dumps(status, cli->watch ? JSON_COMPACT
						     : JSON_INDENT(2));
	f = open_memstream(&text, &len);
	if (!f)
		return NULL;
	print_status(f, status);
	fclose(f);
	return text;
}

/* -1: another exit status than an answer has. */
static int fetch(const struct cli *cli, char **text, int *code)
{
	json_t *body = NULL;

	*code = cli_ask(cli, "GET", "/localapi/v0/status", &body);
	if (*code)
		return -1;
	*code = !is_running(body);
	*text = format_status(cli, body);
	json_decref(body);
	return *text ? 0 : -1;
}

static void show(const struct cli *cli, const char *text)
{
	bool is_screen = cli->watch && !cli->json && isatty(STDOUT_FILENO);

	if (is_screen)
		fputs("\033[H\033[2J", stdout);
	fputs(text, stdout);
	if (cli->json || (cli->watch && !is_screen))
		putchar('\n');
	fflush(stdout);
}

int cli_status(const struct cli *cli)
{
	char *shown = NULL, *text = NULL;
	int code;

	while (fetch(cli, &text, &code) == 0) {
		if (!shown || strcmp(shown, text) != 0)
			show(cli, text);
		free(shown);
		shown = text;
		if (!cli->watch || ferror(stdout))
			break;
		sleep(WATCH_S);
	}
	free(shown);
	return code;
}

/* SPDX-License-Identifier: BSD-3-Clause
 * cli.c - tsrun VERB: questions to a running node
 *
 * Text for people, the LocalAPI's own JSON with --json. The stock tailscale
 * CLI can be pointed at the same socket and knows more verbs. Each verb is a
 * row of the table below and a function in a file of its own.
 */
#include "core/engine/cli.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/crypto/secret.h"
#include "core/engine/cli_internal.h"
#include "core/engine/local_client.h"

enum { PING_COUNT = 10 };

const char *cli_arg(const struct cli *cli, size_t n)
{
	return n < cli->arg_count ? cli->args[n] : NULL;
}

int cli_fail(const char *text)
{
	fprintf(stderr, "tsrun: %s\n", text);
	return 1;
}

const char *cli_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

int cli_ask(const struct cli *cli, const char *method, const char *path,
	    json_t **out)
{
	char err[256] = "";
	int code = local_client_request(cli->socket, method, path, out, err);

	return code ? cli_fail(err) : 0;
}

int cli_send(const struct cli *cli, const char *method, const char *path,
	     const json_t *sent)
{
	char err[256] = "";
	char *text = sent ? json_dumps(sent, JSON_COMPACT) : NULL;
	int code = sent && !text ? -ENOMEM
				 : local_client_send(cli->socket, method, path,
						     text, NULL, err);

	ts_wipe_free_text(text);
	return code ? cli_fail(err[0] ? err : ts_strerror(code)) : 0;
}

int cli_print_json(json_t *body)
{
	json_dumpf(body, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(body);
	return 0;
}

/* -- verbs ---------------------------------------------------------------- */
static const struct command {
	const char *verb;
	const char *usage; /* what follows the verb */
	const char *help;
	size_t min_args, max_args;
	bool works_alone; /* without a running node */
	int (*run)(const struct cli *cli);
} commands[] = {
	{"status", "[--json] [--watch]",
	 "List this node and its peers, with the path that traffic takes, and\n"
	 "what is wrong. --watch: again whenever something changes.", 0, 0,
	 false, cli_status},
	{"ip", "[--json] [NODE]",
	 "Print the addresses of this node, or of NODE.", 0, 1, false, cli_ip},
	{"whois", "[--json] ADDRESS",
	 "Print the node and the user behind an address (IP or IP:PORT).", 1,
	 1, false, cli_whois},
	{"ping", "[--json] [--tsmp | --icmp | --peerapi] [-c COUNT] NODE",
	 "Ping a name or an address inside the tailnet, until an answer came by\n"
	 "a direct path, or COUNT times (default 10). --tsmp, --icmp: inside the\n"
	 "tunnel; --peerapi: the peer's HTTP server; until one was answered.", 1, 1, false, cli_ping},
	{"netcheck", "[--json]",
	 "Check the network anew, from the node's own UDP socket.", 0, 0,
	 false, cli_netcheck},
	{"capture", "[--disco] [-o FILE]",
	 "Write the packets inside the tunnel as pcapng, until Ctrl-C, to FILE\n"
	 "or (default, or -) to standard output:\n"
	 "  tsrun capture | tshark -r -\n"
	 "--disco: with the messages by which peers look for paths to us.", 0, 0, false, cli_capture},
	{"metrics", "",
	 "Print the node's counters as Prometheus reads them.", 0, 0, false,
	 cli_metrics},
	{"doctor", "[--json] [PROGRAM]",
	 "Check what a node needs: settings, state, control server, relays, UDP,\n"
	 "clock, names, and whether PROGRAM can be carried; and say what to do.",
	 0, 1, true, cli_doctor},
	{"dns", "[--json] status | query NAME [TYPE]",
	 "Print the tailnet's and the system's DNS configuration; or ask for a\n"
	 "name as programs do, and print who was asked, and the answer.", 1, 3,
	 false, cli_dns},
	{"up", "",
	 "Bring a node that is down back to the tailnet, and wait for it. One\n"
	 "that is logged out logs in.", 0, 0, false, cli_up},
	{"down", "",
	 "Take the node off the tailnet. Its program goes on without.", 0, 0,
	 false, cli_down},
	{"login", "[--login-server URL] [--auth-key KEY]",
	 "Log in once more, as a profile of its own: by the address that is\n"
	 "printed, or with the key (or file:PATH, env:VARIABLE). The way\n"
	 "back is tsrun switch.", 0, 0, false, cli_login},
	{"logout", "",
	 "End the node's key: it has to log in again.", 0, 0, false,
	 cli_logout},
	{"switch", "[--json] [PROFILE]",
	 "List the profiles that have logged in; or go on as the one of that\n"
	 "ID, name or user.", 0, 1, false, cli_switch},
	{"set", "NAME=VALUE ...",
	 "Change settings by their names in tsnet.conf, until the next start:\n"
	 "hostname, tags, shields_up, accept_routes, accept_dns, exit_node,\n"
	 "exit_node_allow_lan_access, advertise_routes, advertise_exit_node;\n"
	 "operator (who may change them), nickname (the profile's name).", 1,
	 CLI_ARGS_MAX, false, cli_set},
	{"lock", "[--json]",
	 "Print whether Tailnet Lock is on, whom it trusts, and whether it\n"
	 "trusts this node.", 0, 0, false, cli_lock},
};

static void print_usage(const struct command *c)
{
	printf("usage: tsrun [--hostname NAME | --node NAME | --socket PATH] "
	       "%s %s\n\n%s\n",
	       c->verb, c->usage, c->help);
}

/* -- options -------------------------------------------------------------- */
enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_COUNT };

static const struct option {
	const char *name;
	const char *verb; /* NULL: all have it */
	enum option_kind kind;
	size_t offset; /* in struct cli */
} options[] = {
	{"--json", NULL, OPTION_FLAG, offsetof(struct cli, json)},
	{"--watch", "status", OPTION_FLAG, offsetof(struct cli, watch)},
	{"--tsmp", "ping", OPTION_FLAG, offsetof(struct cli, tsmp)},
	{"--icmp", "ping", OPTION_FLAG, offsetof(struct cli, icmp)},
	{"--peerapi", "ping", OPTION_FLAG, offsetof(struct cli, peerapi)},
	{"-c", "ping", OPTION_COUNT, offsetof(struct cli, ping_count)},
	{"--disco", "capture", OPTION_FLAG, offsetof(struct cli, disco)},
	{"--login-server", "login", OPTION_TEXT,
	 offsetof(struct cli, login_server)},
	{"--auth-key", "login", OPTION_TEXT, offsetof(struct cli, auth_key)},
	{"--authkey", "login", OPTION_TEXT, offsetof(struct cli, auth_key)},
	{"-o", "capture", OPTION_TEXT, offsetof(struct cli, out)},
};

static const struct option *find_option(const char *name, const char *verb)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strcmp(options[i].name, name) == 0 &&
		    (!options[i].verb || strcmp(options[i].verb, verb) == 0))
			return &options[i];
	return NULL;
}

static bool read_count(const char *text, int *out)
{
	char *end;
	long n = strtol(text, &end, 10);

	*out = (int)n;
	return *text && !*end && n > 0 && n < INT_MAX;
}

/* value: the word behind it, or NULL. False: not as it should be. */
static bool set_option(struct cli *cli, const struct option *o,
		       const char *value)
{
	char *field = (char *)cli + o->offset;

	switch (o->kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return true;
	case OPTION_TEXT:
		*(const char **)field = value;
		return value != NULL;
	case OPTION_COUNT:
		return value && read_count(value, (int *)field);
	}
	return false;
}

static int wrong_use(const struct command *c, const char *what,
		     const char *word)
{
	fprintf(stderr, "tsrun: %s: %s%s%s\n", c->verb, what, *word ? " " : "",
		word);
	fprintf(stderr, "usage: tsrun %s %s\n", c->verb, c->usage);
	return CLI_EXIT_USAGE;
}

static int take_word(struct cli *cli, const struct command *c, const char *word)
{
	if ((word[0] == '-' && word[1]) || cli->arg_count >= c->max_args ||
	    cli->arg_count >= CLI_ARGS_MAX)
		return wrong_use(c, "unexpected argument", word);
	cli->args[cli->arg_count++] = word;
	return 0;
}

/* Which node: these come from tsrun's own options, too. */
static bool take_node_option(struct cli *cli, const char **hostname,
			     const char *name, const char *value)
{
	if (strcmp(name, "--hostname") == 0 && value) {
		*hostname = value;
		return true;
	}
	if (strcmp(name, "--node") == 0 && value) {
		cli->node = value;
		return true;
	}
	if (strcmp(name, "--socket") != 0 || !value)
		return false;
	free(cli->socket);
	cli->socket = strdup(value);
	return true;
}

static int parse(struct cli *cli, const struct command *c,
		 const char **hostname, int argc, char **argv)
{
	int code = 0;

	for (int i = 1; i < argc && !code; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;
		const struct option *o = find_option(argv[i], c->verb);

		if (take_node_option(cli, hostname, argv[i], value)) {
			i++;
		} else if (!o) {
			code = take_word(cli, c, argv[i]);
		} else if (!set_option(cli, o, value)) {
			code = wrong_use(c, value ? "not a number from 1:"
						  : "needs a value:",
					 value ? value : argv[i]);
		} else if (o->kind != OPTION_FLAG) {
			i++;
		}
	}
	if (!code && cli->arg_count < c->min_args)
		code = wrong_use(c, "something is missing", "");
	return code;
}

static bool wants_help(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--help") == 0 ||
		    strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static bool find_node(struct cli *cli, const char *hostname)
{
	return cli_choose_node(cli) == 0 &&
	       (cli->socket ||
		local_client_find(hostname, &cli->socket, cli->no_node) == 0);
}

static int run(const struct command *c, int argc, char **argv)
{
	struct cli cli = {.ping_count = PING_COUNT};
	const char *hostname = getenv("TSNET_HOSTNAME");
	int code = parse(&cli, c, &hostname, argc, argv);

	if (!code && !find_node(&cli, hostname) && !c->works_alone)
		code = cli_fail(cli.no_node);
	if (!code)
		code = c->run(&cli);
	free(cli.socket);
	return code;
}

int cli_main(int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
		const struct command *c = &commands[i];

		if (strcmp(argv[0], c->verb) != 0)
			continue;
		if (!wants_help(argc, argv))
			return run(c, argc, argv);
		print_usage(c);
		return 0;
	}
	fprintf(stderr, "tsrun: no such question: %s\n", argv[0]);
	return CLI_EXIT_USAGE;
}

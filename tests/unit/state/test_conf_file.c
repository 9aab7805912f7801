/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/state/conf_file.h"

#define HOME "HOME=/home/amelie"

struct bench {
	struct ts_config config;
	char err[256];
	char *env[8];
	size_t env_count;
};

static int read_file(const char *path, char **out)
{
	if (strcmp(path, "/run/key") == 0)
		*out = strdup("\n  tskey-auth-x \r\nrest\n");
	else if (strcmp(path, "/run/empty") == 0)
		*out = strdup("\n");
	else
		return strcmp(path, "/run/locked") == 0 ? -EACCES : -ENOENT;
	return *out ? 0 : -ENOMEM;
}

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct bench));
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	ts_config_deinit(&b->config);
	free(b);
	return 0;
}

static void with_env(struct bench *b, const char *entry)
{
	b->env[b->env_count++] = (char *)(uintptr_t)entry;
	b->env[b->env_count] = NULL;
}

static int load(struct bench *b, const char *text)
{
	const struct ts_config_input in = {
		.conf_text = text,
		.conf_path = "t.conf",
		.conf_len = text ? strlen(text) : 0,
		.env = b->env,
		.program = "Prog_1.sh",
		.read_file = read_file,
	};

	ts_config_deinit(&b->config);
	b->err[0] = '\0';
	return ts_config_load(&b->config, &in, b->err);
}

static void expect_error(struct bench *b, const char *text, int code,
			 const char *expected)
{
	assert_int_equal(load(b, text), code);
	assert_string_equal(b->err, expected);
	assert_null(b->config.hostname); /* nothing to free or use */
}

static void defaults_are_those_of_the_header(void **state)
{
	struct bench *b = *state;

	with_env(b, HOME);
	assert_int_equal(load(b, NULL), 0);
	assert_string_equal(b->config.hostname, "prog-1-sh");
	assert_null(b->config.auth_key);
	assert_string_equal(b->config.control_url,
			    "https://controlplane.tailscale.com");
	assert_true(b->config.has_default_server);
	assert_string_equal(b->config.state_dir,
			    "/home/amelie/.local/state/tsnet/prog-1-sh");
	assert_false(b->config.state_in_memory);
	assert_false(b->config.ephemeral);
	assert_int_equal(b->config.listen, TS_LISTEN_BOTH);
	assert_int_equal(b->config.dns, TS_DNS_INTERCEPT);
	assert_true(b->config.accept_dns);
	assert_false(b->config.accept_routes);
	assert_int_equal(b->config.port, 0);
	assert_int_equal(b->config.tag_count, 0);
	assert_int_equal(b->config.wait_s, 0);
	assert_int_equal(b->config.timeout_s, 60);
	assert_null(b->config.log_file);
	assert_int_equal(b->config.log_level, TS_LOG_WARN);
	assert_int_equal(b->config.log_format, TS_LOG_FORMAT_TEXT);
	assert_int_equal(b->config.metrics_listen.port, 0);
	assert_int_equal(b->config.congestion, TS_CC_BBR);
	assert_false(b->config.force_login);
	assert_true(b->config.direct);
	assert_true(b->config.path_mtu);
	assert_false(b->config.shields_up);
	assert_false(b->config.disable_portmapper);
	assert_false(b->config.disable_upnp);
	assert_true(b->config.follow_exec);
}

static void every_option_can_be_in_the_file(void **state)
{
	struct bench *b = *state;

	assert_int_equal(load(b,
			      "; comment\n# comment\n"
			      "hostname = Web Server\n"
			      "auth_key = file:/run/key\n"
			      "control_url = http://h.test:8080/\n"
			      "state_dir = \"/var/lib/x\"\n"
			      "[node]\n"
			      "ephemeral = YES\n"
			      "listen = tailnet\n"
			      "dns = host\n"
			      "accept_dns = off\n"
			      "accept_routes = on\n"
			      "port = 41641\n"
			      "endpoints = 203.0.113.7:41641, [2001:db8::7]:1\n"
			      "tags = tag:web, tag:b-2\n"
			      "wait = 5s\n"
			      "timeout = 10\n"
			      "log_file = /tmp/log\n"
			      "log_level = debug\n"
			      "log_format = json\n"
			      "metrics_listen = [::1]:9100\n"
			      "force_login = true\n"
			      "direct = no\n"
			      "path_mtu = no\n"
			      "follow_exec = off\n"
			      "disable_portmapper = yes\n"
			      "disable_upnp = true\n"
			      "shields_up = 1"),
			 0);
	assert_string_equal(b->config.hostname, "web-server");
	assert_string_equal(b->config.auth_key, "tskey-auth-x");
	assert_string_equal(b->config.control_url, "http://h.test:8080");
	assert_false(b->config.has_default_server);
	assert_string_equal(b->config.state_dir, "/var/lib/x");
	assert_true(b->config.ephemeral);
	assert_int_equal(b->config.listen, TS_LISTEN_TAILNET);
	assert_int_equal(b->config.dns, TS_DNS_HOST);
	assert_false(b->config.accept_dns);
	assert_true(b->config.accept_routes);
	assert_int_equal(b->config.port, 41641);
	assert_int_equal(b->config.endpoint_count, 2);
	assert_int_equal(b->config.endpoints[0].port, 41641);
	assert_int_equal(b->config.endpoints[1].port, 1);
	assert_int_equal(b->config.tag_count, 2);
	assert_string_equal(b->config.tags[0], "tag:web");
	assert_string_equal(b->config.tags[1], "tag:b-2");
	assert_int_equal(b->config.wait_s, 5);
	assert_int_equal(b->config.timeout_s, 10);
	assert_string_equal(b->config.log_file, "/tmp/log");
	assert_int_equal(b->config.log_level, TS_LOG_DEBUG);
	assert_int_equal(b->config.log_format, TS_LOG_FORMAT_JSON);
	assert_int_equal(b->config.metrics_listen.port, 9100);
	assert_true(b->config.force_login);
	assert_false(b->config.direct);
	assert_false(b->config.path_mtu);
	assert_true(b->config.shields_up);
	assert_true(b->config.disable_portmapper);
	assert_true(b->config.disable_upnp);
	assert_false(b->config.follow_exec);
}

static void every_option_can_be_in_the_environment(void **state)
{
	static const struct {
		const char *key, *value;
	} values[] = {
		{"hostname", "h"},
		{"auth_key", "k"},
		{"client_secret", "s"},
		{"client_id", "i"},
		{"id_token", "t"},
		{"audience", "a"},
		{"control_url", "http://h"},
		{"state_dir", "/d"},
		{"ephemeral", "yes"},
		{"listen", "host"},
		{"dns", "host"},
		{"accept_dns", "no"},
		{"accept_routes", "yes"},
		{"advertise_routes", "10.0.0.0/8"},
		{"advertise_exit_node", "yes"},
		{"exit_node", "n"},
		{"exit_node_allow_lan_access", "yes"},
		{"port", "7"},
		{"endpoints", "192.0.2.1:7"},
		{"tags", "tag:a"},
		{"wait", "7"},
		{"timeout", "7"},
		{"log_file", "/l"},
		{"log_level", "info"},
		{"log_format", "json"},
		{"metrics_listen", "127.0.0.1:9100"},
		{"follow_exec", "no"},
		{"force_login", "1"},
		{"login_qr", "yes"},
		{"direct", "no"},
		{"path_mtu", "no"},
		{"shields_up", "yes"},
		{"locked", "yes"},
		{"congestion", "cubic"},
		{"disable_portmapper", "yes"},
		{"disable_upnp", "1"},
		{"proxy_listen", "127.0.0.1:1080"},
		{"taildrop_dir", "/d"},
		{"listen_tls", "443, 8443"},
		{"acme_directory", "https://ca.example/dir"},
		{"permit_cert_uid", "www-data"},
		{"nodes", "a,b"},
		{"destinations", "10.0.0.0/8,*.b"},
		{"listen_ports", "80,90-99"},
		{"interface", "tailscale7"},
		{"stand_ins", "10.9.0.0/16, fd00:1::/64"},
	};
	struct bench *b = *state;
	size_t count;
	const struct ts_config_option *options = ts_config_options(&count);

	assert_int_equal(count, sizeof(values) / sizeof(values[0]));
	for (size_t i = 0; i < count; i++) {
		char good[64], bad[64];

		assert_string_equal(options[i].key, values[i].key);
		snprintf(good, sizeof(good), "%s=%s", options[i].env,
			 values[i].value);
		snprintf(bad, sizeof(bad), "%s=", options[i].env);
		b->env_count = 0;
		with_env(b, HOME);
		with_env(b, good);
		assert_int_equal(load(b, NULL), 0);
		b->env_count = 1;
		with_env(b, bad); /* empty counts as unset */
		assert_int_equal(load(b, NULL), 0);
	}
}

static void the_environment_wins_over_the_file(void **state)
{
	struct bench *b = *state;

	with_env(b, HOME);
	with_env(b, "TSNET_PORT=2");
	with_env(b, "TS_AUTH_KEY=second");
	assert_int_equal(load(b, "port = 1\nwait = 1\nauth_key = file"), 0);
	assert_int_equal(b->config.port, 2);
	assert_int_equal(b->config.wait_s, 1);
	assert_string_equal(b->config.auth_key, "second");
	with_env(b, "TS_AUTHKEY=first");
	assert_int_equal(load(b, NULL), 0);
	assert_string_equal(b->config.auth_key, "first");
}

static void the_programs_own_section_wins(void **state)
{
	static const char text[] = "[node \"Prog_1.sh\"]\nport = 2\n"
				   "[node \"other\"]\nport = 3\nwait = 3\n"
				   "[node]\nport = 1\ntimeout = 1\n";
	struct bench *b = *state;

	with_env(b, HOME);
	assert_int_equal(load(b, text), 0);
	assert_int_equal(b->config.port, 2);
	assert_int_equal(b->config.timeout_s, 1);
	assert_int_equal(b->config.wait_s, 0);
}

static void errors_name_the_place_the_value_and_what_is_allowed(void **state)
{
	struct bench *b = *state;

	with_env(b, HOME);
	expect_error(b, "\nlisten = all\n", -EINVAL,
		     "t.conf:2: listen: \"all\" is not allowed: both, "
		     "tailnet, host");
	expect_error(b, "port = 65536", -EINVAL,
		     "t.conf:1: port: \"65536\" is not allowed: 0 (any) to "
		     "65535");
	expect_error(b, "ephemeral = maybe", -EINVAL,
		     "t.conf:1: ephemeral: \"maybe\" is not allowed: yes, no");
	expect_error(b, "\n\nlisten to me\nport = x\n", -EINVAL,
		     "t.conf:3: neither \"key = value\", [section] nor "
		     "comment");
	expect_error(b, "lisen = both", -EINVAL,
		     "t.conf:1: no such option: \"lisen\"");
	expect_error(b, "[nodes]\nport = 1", -EINVAL,
		     "t.conf:2: no such section: \"nodes\"");
	expect_error(b, "[node \"x\"]\nprot = 1", -EINVAL,
		     "t.conf:2: no such option: \"prot\"");
	expect_error(b, "port = 1\n[node]\nport = 2", -EINVAL,
		     "t.conf:3: given twice (or the line is indented): "
		     "\"port\"");
	expect_error(b, "hostname = a\n  port = 2\n", -EINVAL,
		     "t.conf:2: given twice (or the line is indented): "
		     "\"hostname\"");
	with_env(b, "TSNET_LOG_LEVEL=loud");
	expect_error(b, NULL, -EINVAL,
		     "TSNET_LOG_LEVEL: log_level: \"loud\" is not allowed: "
		     "off, error, warn, info, debug");
}

static void values_that_are_not_allowed(void **state)
{
	static const char *const lines[] = {
		"port = -1", "port = 1x", "port = ", "port = 0x10",
		"wait = 5m", "wait = -5", "wait = 86401", "timeout = soon",
		"wait = 99999999999999999999", "listen = ", "direct = 2",
		"tags = web", "tags = tag:", "tags = tag:1a",
		"tags = tag:a,tag:b_c", "control_url = h.test",
		"control_url = ftp://h", "control_url = https://",
		"control_url = https:///x", "control_url = http://h x",
		"control_url = ", "hostname = !!!", "log_level = ",
		"log_format = xml", "metrics_listen = 0.0.0.0:9100",
		"metrics_listen = 127.0.0.1", "metrics_listen = 127.0.0.1:0",
		"metrics_listen = 192.0.2.1:9100",
	};
	struct bench *b = *state;

	with_env(b, HOME);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_int_equal(load(b, lines[i]), -EINVAL);
}

static void overlong_and_binary_lines_are_refused(void **state)
{
	struct bench *b = *state;
	char line[400] = "log_file = /";
	struct ts_config_input in = {
		.conf_text = "port = 1\n\0port = 2", .conf_len = 18,
		.program = "p", .env = b->env,
	};

	with_env(b, HOME);
	memset(line + strlen(line), 'a', 300);
	assert_int_equal(load(b, line), -EINVAL);
	assert_non_null(strstr(b->err, "at most 198 bytes"));
	line[190] = '\0';
	assert_int_equal(load(b, line), 0);
	assert_int_equal(strlen(b->config.log_file), 179);
	ts_config_deinit(&b->config);
	assert_int_equal(ts_config_load(&b->config, &in, b->err), -EINVAL);
}

static void every_secret_may_be_in_a_file(void **state)
{
	struct bench *b = *state;

	assert_int_equal(load(b, "client_secret = file:/run/key\n"
				 "id_token = file:/run/key\n"
				 "client_id = file:id\naudience = a b\n"),
			 0);
	assert_string_equal(b->config.client_secret, "tskey-auth-x");
	assert_string_equal(b->config.id_token, "tskey-auth-x");
	assert_string_equal(b->config.id_token_file, "/run/key");
	assert_string_equal(b->config.client_id, "file:id");
	assert_string_equal(b->config.audience, "a b");
	assert_null(b->config.auth_key);
	with_env(b, "MINE=tskey-client-y");
	assert_int_equal(load(b, "client_secret = env:MINE\n"), 0);
	assert_string_equal(b->config.client_secret, "tskey-client-y");
	assert_int_equal(b->config.secret_variable_count, 1);
	assert_string_equal(b->config.secret_variables[0], "MINE");
	b->env_count = 0;
	with_env(b, "MINE=");
	assert_int_equal(load(b, "client_secret = env:MINE\n"), -EINVAL);
	assert_non_null(strstr(b->err, "client_secret: the variable \"MINE\" "
				       "is not set"));
	b->env_count = 0;
	with_env(b, "TS_ID_TOKEN=file:/run/none");
	expect_error(b, NULL, -ENOENT, "TS_ID_TOKEN: id_token: cannot read "
				       "/run/none: no such file or directory");
}

static void key_files_are_read_and_never_quoted(void **state)
{
	struct bench *b = *state;

	with_env(b, HOME);
	with_env(b, "TS_AUTHKEY=file:/run/none");
	expect_error(b, NULL, -ENOENT, "TS_AUTHKEY: auth_key: cannot read "
				       "/run/none: no such file or directory");
	b->env_count = 1;
	with_env(b, "TS_AUTHKEY=file:/run/empty");
	expect_error(b, NULL, -EINVAL,
		     "TS_AUTHKEY: auth_key: /run/empty holds no key");
	b->env_count = 1;
	with_env(b, "TS_AUTHKEY=file:/run/locked");
	assert_int_equal(load(b, NULL), -EINVAL);
}

static void the_state_can_be_in_a_secret(void **state)
{
	struct bench *b = *state;

	with_env(b, HOME);
	assert_int_equal(load(b, "state_dir = kube:web-1.state"), 0);
	assert_string_equal(b->config.kube_secret, "web-1.state");
	assert_null(b->config.state_dir);
	assert_false(b->config.state_in_memory);
	assert_null(b->config.kube_account);
	expect_error(b, "state_dir = kube:Web/x", -EINVAL,
		     "t.conf:1: state_dir: \"kube:Web/x\" is not allowed: "
		     "a directory, mem:, or kube:NAME of a Secret");
	assert_int_equal(load(b, "state_dir = kube:"), -EINVAL);
	/* As upstream's container has it; what is said to us wins. */
	with_env(b, "TS_KUBE_SECRET=tailscale");
	assert_int_equal(load(b, "ephemeral = yes"), 0);
	assert_string_equal(b->config.kube_secret, "tailscale");
	assert_false(b->config.state_in_memory);
	assert_int_equal(load(b, "state_dir = /d"), 0);
	assert_null(b->config.kube_secret);
	assert_string_equal(b->config.state_dir, "/d");
	assert_int_equal(load(b, "state_dir = mem:"), 0);
	assert_null(b->config.kube_secret);
	with_env(b, "TSNET_STATE_DIR=/e");
	assert_int_equal(load(b, "state_dir = kube:a"), 0);
	assert_null(b->config.kube_secret);
	b->env_count = 1;
	with_env(b, "TSNET_KUBE_ACCOUNT=/a");
	assert_int_equal(load(b, "state_dir = kube:a"), 0);
	assert_string_equal(b->config.kube_account, "/a");
	with_env(b, "TS_KUBE_SECRET=No");
	expect_error(b, NULL, -EINVAL, "TS_KUBE_SECRET: \"No\" is "
					       "not the name of a Secret");
}

static void the_state_directory_is_found(void **state)
{
	struct bench *b = *state;

	assert_int_equal(load(b, ""), 0); /* no home is known */
	assert_true(b->config.state_in_memory);
	assert_int_equal(load(b, "state_dir = mem:"), 0);
	assert_true(b->config.state_in_memory);
	assert_null(b->config.state_dir);
	with_env(b, HOME);
	assert_int_equal(load(b, "ephemeral = yes"), 0);
	assert_true(b->config.state_in_memory);
	assert_int_equal(load(b, "state_dir = ~/x"), 0);
	assert_string_equal(b->config.state_dir, "/home/amelie/x");
	with_env(b, "XDG_STATE_HOME=/x");
	assert_int_equal(load(b, "hostname = h"), 0);
	assert_string_equal(b->config.state_dir, "/x/tsnet/h");
	with_env(b, "STATE_DIRECTORY=/var/lib/a:/var/lib/b");
	assert_int_equal(load(b, NULL), 0);
	assert_string_equal(b->config.state_dir, "/var/lib/a");
	/* As upstream's container has it. */
	with_env(b, "TS_STATE_DIR=/var/lib/tailscale");
	assert_int_equal(load(b, "ephemeral = yes"), 0);
	assert_string_equal(b->config.state_dir, "/var/lib/tailscale");
	assert_false(b->config.state_in_memory);
	assert_int_equal(load(b, "state_dir = /d"), 0);
	assert_string_equal(b->config.state_dir, "/d");
	with_env(b, "TS_KUBE_SECRET=web");
	assert_int_equal(load(b, NULL), 0);
	assert_string_equal(b->config.kube_secret, "web");
	assert_null(b->config.state_dir);
	b->env_count = 0;
	with_env(b, "TS_STATE_DIR=here");
	expect_error(b, NULL, -EINVAL, "TS_STATE_DIR: \"here\" is not the "
				       "path of a directory");
}

static void hostnames_become_dns_labels(void **state)
{
	static const struct {
		const char *text, *label;
	} rows[] = {
		{"web", "web"}, {"Web.Example.COM", "web-example-com"},
		{"--a__b--", "a-b"}, {"\xc3\xa9t\xc3\xa9", "t"}, {"", ""},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 ".b.c",
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		 "-b"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *label = ts_config_sanitize_hostname(rows[i].text);

		assert_string_equal(label, rows[i].label);
		free(label);
	}
}

static void any_cut_of_a_file_is_safe(void **state)
{
	static const char text[] = "hostname = \"a\"\n[node \"Prog_1.sh\"]\n"
				   "tags = tag:a, tag:b\nport = 7\n";
	struct bench *b = *state;

	with_env(b, HOME);
	for (size_t cut = 0; cut < sizeof(text); cut++) {
		char copy[sizeof(text)] = "";

		memcpy(copy, text, cut);
		if (load(b, copy))
			assert_string_not_equal(b->err, "");
	}
}

/* -- tsnet.conf.example --------------------------------------------------- */

static bool names_option(const char *text, const char *key)
{
	char form[64];

	snprintf(form, sizeof(form), "\n#%s = ", key);
	return strstr(text, form) != NULL;
}

static void the_example_shows_every_option_with_its_default(void **state)
{
	struct bench *b = *state;
	FILE *f = fopen("tsnet.conf.example", "r");
	char text[16384] = "", live[16384];
	size_t count;
	const struct ts_config_option *options = ts_config_options(&count);
	size_t shown = 0;

	assert_non_null(f); /* the tests run at the root of the sources */
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	for (size_t i = 0; i < count; i++) {
		char form[128];

		assert_true(names_option(text, options[i].key));
		assert_non_null(strstr(text, options[i].env));
		snprintf(form, sizeof(form), "\n#%s = %s\n", options[i].key,
			 options[i].fallback);
		if (options[i].fallback[0])
			assert_non_null(strstr(text, form));
	}
	/* Every "#key = value" line is an option, and the file loads. */
	with_env(b, HOME);
	for (char *line = text; *line; line = strchr(line, '\n') + 1)
		if (line[0] == '#' && line[1] >= 'a' && line[1] <= 'z') {
			line[0] = ' ';
			memmove(line, line + 1, strlen(line));
			shown++;
		}
	assert_int_equal(shown, count);
	snprintf(live, sizeof(live), "%s", text);
	for (char *at; (at = strstr(live, "file:/run"));)
		memcpy(at, "0123-0123", 9); /* no such file here */
	assert_int_equal(load(b, live), 0);
}

static void several_nodes_are_a_chain(void **state)
{
	static const char text[] = "nodes = front, back\n"
				   "tags = tag:all\n"
				   "[node \"front\"]\n"
				   "state_dir = mem:\n"
				   "[node \"back\"]\n"
				   "state_dir = mem:\n"
				   "destinations = 10.0.0.0/8, *.b\n"
				   "interface = tailscale7\n";
	struct bench *b = *state;
	const struct ts_config *next;

	with_env(b, HOME);
	assert_int_equal(load(b, text), 0);
	assert_string_equal(b->config.node_name, "front");
	assert_string_equal(b->config.hostname, "front");
	assert_null(b->config.interface);
	next = b->config.next;
	assert_non_null(next);
	assert_string_equal(next->node_name, "back");
	assert_string_equal(next->tags[0], "tag:all");
	assert_string_equal(next->interface, "tailscale7");
	assert_int_equal(next->rules.prefix_count, 1);
	assert_string_equal(next->rules.names[0], ".b");
	assert_null(next->next);
}

static void nodes_that_would_meet_are_refused(void **state)
{
	static const char *const texts[] = {
		"nodes = a, b\nstate_dir = /d\n", "nodes = a, a\n",
		"nodes = a/b\n", "nodes = 1,2,3,4,5,6,7,8,9\n",
		"nodes = a, b\n[node \"b\"]\nport = x\n"};
	struct bench *b = *state;

	with_env(b, HOME);
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(load(b, texts[i]), -EINVAL);
		assert_true(*b->err);
		assert_null(b->config.next);
	}
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(defaults_are_those_of_the_header),
		CASE(every_option_can_be_in_the_file),
		CASE(several_nodes_are_a_chain),
		CASE(nodes_that_would_meet_are_refused),
		CASE(every_option_can_be_in_the_environment),
		CASE(the_environment_wins_over_the_file),
		CASE(the_programs_own_section_wins),
		CASE(errors_name_the_place_the_value_and_what_is_allowed),
		CASE(values_that_are_not_allowed),
		CASE(overlong_and_binary_lines_are_refused),
		CASE(every_secret_may_be_in_a_file),
		CASE(key_files_are_read_and_never_quoted),
		CASE(the_state_directory_is_found),
		CASE(the_state_can_be_in_a_secret),
		CASE(hostnames_become_dns_labels),
		CASE(any_cut_of_a_file_is_safe),
		CASE(the_example_shows_every_option_with_its_default),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

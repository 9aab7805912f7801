/* SPDX-License-Identifier: BSD-3-Clause
 * fuzz_serve_config.c - a serve configuration, as a local caller or a state
 * file has it, and what is looked up in it
 */
#include <stdlib.h>
#include <string.h>

#include "core/serve/funnel_rule.h"
#include "core/serve/vip_services.h"
#include "core/serve/web_route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Its own text is read to the same. */
static void check_text(const json_t *config)
{
	char err[TS_SERVE_ERROR_CAP], *text = ts_serve_format(config), *again;
	json_t *second = NULL;

	if (!text || ts_serve_parse(text, strlen(text), &second, err))
		abort();
	again = ts_serve_format(second);
	if (!again || strcmp(text, again) != 0)
		abort();
	if (!ts_serve_may_follow(NULL, NULL, err) ||
	    !ts_serve_may_follow(config, NULL, err))
		abort();
	(void)ts_serve_may_follow(config, second, err);
	free(again);
	free(text);
	json_decref(second);
}

static void follow(const json_t *handlers)
{
	static const char *const paths[] = {"/", "/a/b", "//a/../b/", "*", ""};
	static const char text[] = "GET /a/b?c HTTP/1.1\r\nHost: h\r\n\r\n";
	struct ts_serve_handler h;
	struct ts_serve_request req;
	struct ts_serve_target target;
	int status;

	if (ts_serve_request_read(text, sizeof(text) - 1, &req))
		abort();
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (!ts_serve_find_handler(handlers, paths[i], &h))
			continue;
		if (h.redirect)
			free(ts_serve_redirect(h.redirect, &req, &status));
		if (h.proxy && ts_serve_target_parse(h.proxy, &target) == 0)
			free(ts_serve_target_path(&target, h.mount, &req));
	}
	ts_serve_request_deinit(&req);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char err[TS_SERVE_ERROR_CAP] = "", hash[TS_GO_HASH_CAP];
	struct ts_serve_target target;
	struct ts_serve_tcp tcp;
	json_t *config = NULL, *services;
	const char *key;
	json_t *web;

	if (ts_serve_parse((const char *)data, len, &config, err)) {
		if (config || !memchr(err, '\0', sizeof(err)))
			abort();
		return 0;
	}
	check_text(config);
	(void)ts_serve_needs_admin(config);
	(void)ts_serve_is_funnel_on(config);
	if (ts_serve_find_tcp(config, NULL, 80, &tcp) && tcp.forward)
		(void)ts_serve_forward_parse(tcp.forward, &target);
	json_object_foreach(json_object_get(config, "Web"), key, web)
		follow(json_object_get(web, "Handlers"));
	services = ts_vip_services(config, NULL);
	if (!services || ts_vip_services_hash(services, hash))
		abort();
	json_decref(services);
	json_decref(config);
	return 0;
}

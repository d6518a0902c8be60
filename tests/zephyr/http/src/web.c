/* SPDX-License-Identifier: Apache-2.0 */

/* A page that stays the same, one that does not, and a WebSocket. */

#include <zephyr/kernel.h>
#include <zephyr/net/http/server.h>
#include <zephyr/net/http/service.h>
#include <zephyr_websocket/http.h>

static uint16_t port = CONFIG_TEST_PORT;

#ifdef CONFIG_SAMPLE_TLS
/* src/lib.rs adds the certificate. */
static const sec_tag_t sec_tags[] = {1};

HTTPS_SERVICE_DEFINE(web, NULL, &port, CONFIG_HTTP_SERVER_MAX_CLIENTS, 4, NULL, NULL, sec_tags,
		     sizeof(sec_tags));
#else
HTTP_SERVICE_DEFINE(web, NULL, &port, CONFIG_HTTP_SERVER_MAX_CLIENTS, 4, NULL, NULL);
#endif

static const char page_text[] = "<!doctype html><title>static</title>\n";

static struct http_resource_detail_static page_detail = {
	.common = {
		.type = HTTP_RESOURCE_TYPE_STATIC,
		.bitmask_of_supported_http_methods = BIT(HTTP_GET),
		.content_type = "text/html",
	},
	.static_data = page_text,
	.static_data_len = sizeof(page_text) - 1,
};

HTTP_RESOURCE_DEFINE(page, web, "/", &page_detail);

static int count(struct http_client_ctx *client, enum http_data_status status,
		 const struct http_request_ctx *request, struct http_response_ctx *response,
		 void *user_data)
{
	static char text[sizeof("4294967295")];
	static uint32_t counted;

	ARG_UNUSED(client);
	ARG_UNUSED(request);
	ARG_UNUSED(user_data);

	if (status == HTTP_SERVER_DATA_FINAL) {
		response->body = (const uint8_t *)text;
		response->body_len = snprintk(text, sizeof(text), "%u", ++counted);
		response->final_chunk = true;
	}

	return 0;
}

static struct http_resource_detail_dynamic count_detail = {
	.common = {
		.type = HTTP_RESOURCE_TYPE_DYNAMIC,
		.bitmask_of_supported_http_methods = BIT(HTTP_GET),
		.content_type = "text/plain",
	},
	.cb = count,
};

HTTP_RESOURCE_DEFINE(count_resource, web, "/count", &count_detail);

RUST_WEBSOCKET_HTTP_RESOURCE(echo, web, "/echo");

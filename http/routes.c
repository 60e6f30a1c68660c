#include "limits_patch.h"
#include "mercure/answer.h"
#include "mercure/publish.h"
#include "mercure/subscribe.h"
#include "mercure/subscriptions.h"
#include "namespaces.h"
#include "native_publish.h"
#include "native_read.h"
#include "native_receive.h"
#include "native_settle.h"
#include "native_subscriptions.h"
#include "native_topics.h"
#include "ops.h"
#include "page.h"
#include "pulsar_consume.h"
#include "pulsar_publish.h"
#include "pulsar_topic.h"
#include "router.h"

const struct route routes[] = {
    { "POST", "/v1/topics/{t}/messages", NULL, publish_one_start, publish_one_finish, NULL },
    { "GET", "/v1/topics/{t}/messages", NULL, NULL, read_log_finish, read_log_look },
    { "POST", "/v1/topics/{t}/messages", "batch", publish_batch_start,
      publish_batch_finish, NULL },
    { "GET", "/v1/topics/{t}/messages/{n}", NULL, NULL, read_message_finish, NULL },
    { "PUT", "/v1/topics/{t}", NULL, topic_body_start, topic_put_finish, NULL },
    { "GET", "/v1/topics/{t}", NULL, NULL, topic_get_finish, NULL },
    { "PATCH", "/v1/topics/{t}", NULL, topic_body_start, topic_patch_finish, NULL },
    { "DELETE", "/v1/topics/{t}", NULL, NULL, topic_delete_finish, NULL },
    { "POST", "/v1/topics/{t}", "purge", topic_body_start, topic_purge_finish, NULL },
    { "GET", "/v1/topics", NULL, NULL, topic_list_finish, NULL },
    { "PUT", "/v1/namespaces/{t}", NULL, topic_body_start, namespace_put_finish, NULL },
    { "GET", "/v1/namespaces/{t}", NULL, NULL, namespace_get_finish, NULL },
    { "PATCH", "/v1/namespaces/{t}", NULL, topic_body_start, namespace_patch_finish, NULL },
    { "DELETE", "/v1/namespaces/{t}", NULL, NULL, namespace_delete_finish, NULL },
    { "GET", "/v1/namespaces", NULL, NULL, namespace_list_finish, NULL },
    { "PUT", "/v1/subscriptions/{t}", NULL, topic_body_start, subscription_put_finish, NULL },
    { "PATCH", "/v1/subscriptions/{t}", NULL, topic_body_start, subscription_patch_finish,
      NULL },
    { "GET", "/v1/subscriptions/{t}", NULL, NULL, subscription_get_finish, NULL },
    { "DELETE", "/v1/subscriptions/{t}", NULL, NULL, subscription_delete_finish, NULL },
    { "GET", "/v1/subscriptions", NULL, NULL, subscription_list_finish, NULL },
    { "POST", "/v1/subscriptions/{t}", "receive", receive_start, receive_finish,
      receive_look, .missed = receive_missed },
    { "POST", "/v1/subscriptions/{t}", "ack", settle_start, settle_ack_finish, NULL },
    { "POST", "/v1/subscriptions/{t}", "nack", settle_start, settle_nack_finish, NULL },
    { "POST", "/v1/subscriptions/{t}", "extend", settle_start, settle_extend_finish, NULL },
    { "POST", "/v1/subscriptions/{t}", "reject", settle_start, settle_reject_finish, NULL },
    { "POST", "/v1/subscriptions/{t}", "seek", topic_body_start, subscription_seek_finish,
      NULL },
    { "POST", "/v1/subscriptions/{t}", "redrive", topic_body_start,
      subscription_redrive_finish, NULL },
    { "GET", "/v1/limits", NULL, NULL, ops_limits, NULL },
    { "PATCH", "/v1/limits", NULL, topic_body_start, limits_patch_finish, NULL },
    { "GET", "/healthz", NULL, NULL, ops_healthz, NULL },
    { "GET", "/readyz", NULL, NULL, ops_readyz, NULL },
    { "GET", "/metrics", NULL, NULL, ops_metrics, NULL },
    { "GET", "/openapi.json", NULL, NULL, ops_openapi, NULL },
    { "POST", "/topics/persistent/{tenant}/{namespace}/{topic}", NULL,
      pulsar_publish_start, pulsar_publish_finish, NULL, pulsar_take_topic,
      &dialect_pulsar },
    { "POST", "/topics/persistent/{tenant}/{namespace}/{topic}/partitions/{partition}", NULL,
      pulsar_publish_start, pulsar_publish_finish, NULL, pulsar_take_topic,
      &dialect_pulsar },
    { "POST", "/topics/non-persistent/{tenant}/{namespace}/{topic}", NULL,
      pulsar_publish_start, pulsar_publish_finish, NULL, pulsar_take_topic,
      &dialect_pulsar },
    { "POST", "/topics/non-persistent/{tenant}/{namespace}/{topic}/partitions/{partition}", NULL,
      pulsar_publish_start, pulsar_publish_finish, NULL, pulsar_take_topic,
      &dialect_pulsar },
    { "POST", "/topics/persistent/{tenant}/{namespace}/{topic}/{subscription}/message", NULL,
      pulsar_consume_start, pulsar_consume_finish, pulsar_consume_look,
      pulsar_take_subscription, &dialect_pulsar },
    { "DELETE", "/topics/persistent/{tenant}/{namespace}/{topic}/subscription/{subscription}",
      NULL, NULL, pulsar_unsubscribe_finish, NULL, pulsar_take_subscription,
      &dialect_pulsar },
    { "POST", "/topics/non-persistent/{tenant}/{namespace}/{topic}/{subscription}/message", NULL,
      pulsar_consume_start, pulsar_consume_finish, pulsar_consume_look,
      pulsar_take_subscription, &dialect_pulsar },
    { "DELETE", "/topics/non-persistent/{tenant}/{namespace}/{topic}/subscription/{subscription}",
      NULL, NULL, pulsar_unsubscribe_finish, NULL, pulsar_take_subscription,
      &dialect_pulsar },
    { "GET", "/", NULL, NULL, page_index, NULL, .is_on = page_is_on },
    { "GET", "/page/{file}", NULL, NULL, page_file, NULL, page_take_file,
      .is_on = page_is_on },
    { "POST", "/.well-known/mercure", NULL, mercure_publish_start, mercure_publish_finish,
      NULL, mercure_take_topic, &dialect_mercure },
    { "GET", "/.well-known/mercure", NULL, NULL, mercure_subscribe_finish,
      .dialect = &dialect_mercure },
    { "GET", "/.well-known/mercure/subscriptions", NULL, NULL, mercure_subscriptions_finish,
      NULL, mercure_subscriptions_take, &dialect_mercure, mercure_subscriptions_is_on },
    { "GET", "/.well-known/mercure/subscriptions/{topic}", NULL, NULL,
      mercure_subscriptions_finish, NULL, mercure_subscriptions_take, &dialect_mercure,
      mercure_subscriptions_is_on },
    { "GET", "/.well-known/mercure/subscriptions/{topic}/{subscriber}", NULL, NULL,
      mercure_subscriptions_finish, NULL, mercure_subscriptions_take, &dialect_mercure,
      mercure_subscriptions_is_on },
    { NULL },
};

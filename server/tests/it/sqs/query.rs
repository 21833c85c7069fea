//! The query protocol of older clients, over the same queues.

use serde_json::json;

use super::{ACCOUNT, Client, output, start, start_with};

/// A call with parameters in a form; spaces in them are encoded, and what else has to be is written so.
#[track_caller]
fn post(client: &Client, path: &str, form: &str, status: u16) -> String {
    let form = form.replace(' ', "+");
    client.0.borrow_mut().send(format!(
        "POST {path} HTTP/1.1\r\nhost: queues.example\r\ncontent-type: application/x-www-form-urlencoded; charset=utf-8\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    ));
    read(client, status)
}

#[track_caller]
fn read(client: &Client, status: u16) -> String {
    let answer = client.answered();
    let body = String::from_utf8(answer.body.clone()).expect("XML");
    assert_eq!(answer.status, status, "{body}");
    assert_eq!(answer.header("content-type"), Some("text/xml"));
    let id = answer.header("x-amzn-requestid").expect("a request id").to_owned();
    assert!(body.contains(&format!("<RequestId>{id}</RequestId>")), "{body} lacks {id}");
    body.replace(&id, "ID")
}

/// What is between the tags of an element, the first of its name.
#[track_caller]
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (_, rest) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{xml} has no {name}"));
    rest.split_once(&format!("</{name}>")).unwrap_or_else(|| panic!("{xml} does not end {name}")).0
}

fn url() -> String {
    format!("http://queues.example/{ACCOUNT}/orders")
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

const NAMESPACE: &str = "http://queue.amazonaws.com/doc/2012-11-05/";

#[test]
fn queues_and_messages_are_spoken_of_in_xml() {
    let server = start();
    let client = Client::of(&server);
    let create = "Action=CreateQueue&Version=2012-11-05&QueueName=orders&Attribute.1.Name=VisibilityTimeout&Attribute.1.Value=60&Tag.1.Key=k&Tag.1.Value=v";
    let xml = post(&client, "/", create, 200);
    let expected = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><CreateQueueResponse xmlns=\"{NAMESPACE}\"><CreateQueueResult><QueueUrl>{}</QueueUrl>\
         </CreateQueueResult><ResponseMetadata><RequestId>ID</RequestId></ResponseMetadata></CreateQueueResponse>",
        url()
    );
    assert_eq!(xml, expected);
    let xml = post(&client, "/", &format!("Action=ListQueueTags&QueueUrl={}", encoded(&url())), 200);
    assert!(
        xml.contains("<ListQueueTagsResult><Tag><Key>k</Key><Value>v</Value></Tag></ListQueueTagsResult>"),
        "{xml}"
    );
    let body = "a<b>&\"'\r\n\t\u{1F30A}";
    let send = format!(
        "Action=SendMessage&QueueUrl={}&MessageBody={}&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=Number\
         &MessageAttribute.1.Value.StringValue=7&MessageAttribute.2.Name=b&MessageAttribute.2.Value.DataType=Binary\
         &MessageAttribute.2.Value.BinaryValue=AP8%3D&MessageSystemAttribute.1.Name=AWSTraceHeader&MessageSystemAttribute.1.Value.DataType=String\
         &MessageSystemAttribute.1.Value.StringValue=Root",
        encoded(&url()),
        encoded(body)
    );
    let sent = post(&client, "/", &send, 200);
    let receive = "Action=ReceiveMessage&MaxNumberOfMessages=10&AttributeName.1=All&MessageAttributeName.1=n&MessageAttributeName.2=b";
    let xml = post(&client, &format!("/{ACCOUNT}/orders"), receive, 200);
    let message = element(&xml, "Message");
    assert_eq!(element(message, "Body"), "a&lt;b&gt;&amp;&quot;'&#xD;\n\t\u{1F30A}");
    assert_eq!(element(message, "MessageId"), element(&sent, "MessageId"));
    assert_eq!(element(message, "MD5OfBody"), element(&sent, "MD5OfMessageBody"));
    assert_eq!(element(message, "MD5OfMessageAttributes"), element(&sent, "MD5OfMessageAttributes"));
    for part in [
        "<Attribute><Name>ApproximateReceiveCount</Name><Value>1</Value></Attribute>",
        "<Attribute><Name>AWSTraceHeader</Name><Value>Root</Value></Attribute>",
        "<MessageAttribute><Name>n</Name><Value><StringValue>7</StringValue><DataType>Number</DataType></Value></MessageAttribute>",
        "<MessageAttribute><Name>b</Name><Value><BinaryValue>AP8=</BinaryValue><DataType>Binary</DataType></Value></MessageAttribute>",
    ] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    let handle = encoded(element(message, "ReceiptHandle"));
    let delete = format!("Action=DeleteMessage&QueueUrl={}&ReceiptHandle={handle}", encoded(&url()));
    let xml = post(&client, "/", &delete, 200);
    let expected = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><DeleteMessageResponse xmlns=\"{NAMESPACE}\"><ResponseMetadata><RequestId>ID</RequestId>\
         </ResponseMetadata></DeleteMessageResponse>"
    );
    assert_eq!(xml, expected);
    // Both protocols see the same queue.
    assert_eq!(client.attribute(&url(), "ApproximateNumberOfMessagesNotVisible"), "0");
    let xml = post(&client, "/", &format!("Action=ReceiveMessage&QueueUrl={}", encoded(&url())), 200);
    assert!(xml.contains("<ReceiveMessageResult></ReceiveMessageResult>"), "{xml}");
}

#[test]
fn batches_attributes_and_lists_have_numbers() {
    let server = start();
    let client = Client::of(&server);
    client.create("orders", &json!({}));
    let (path, url) = (format!("/{ACCOUNT}/orders"), encoded(&url()));
    let entry = |number: u32, body: &str| {
        let prefix = format!("SendMessageBatchRequestEntry.{number}");
        format!("&{prefix}.Id=id{number}&{prefix}.MessageBody={body}")
    };
    let batch = format!(
        "Action=SendMessageBatch&QueueUrl={url}{}{}{}",
        entry(1, "one"),
        entry(2, "%01"),
        entry(3, "two")
    );
    let xml = post(&client, "/", &batch, 200);
    assert_eq!(xml.matches("<SendMessageBatchResultEntry>").count(), 2, "{xml}");
    let failed = element(&xml, "BatchResultErrorEntry");
    assert_eq!((element(failed, "Id"), element(failed, "Code")), ("id2", "InvalidMessageContents"));
    assert_eq!(element(failed, "SenderFault"), "true");
    let set = "Action=SetQueueAttributes&Attribute.1.Name=DelaySeconds&Attribute.1.Value=7&Attribute.2.Name=VisibilityTimeout&Attribute.2.Value=8";
    post(&client, &path, set, 200);
    let get = "Action=GetQueueAttributes&AttributeName.1=DelaySeconds&AttributeName.2=VisibilityTimeout";
    let xml = post(&client, &path, get, 200);
    let expected = "<GetQueueAttributesResult><Attribute><Name>VisibilityTimeout</Name><Value>8</Value></Attribute>\
                    <Attribute><Name>DelaySeconds</Name><Value>7</Value></Attribute></GetQueueAttributesResult>";
    assert!(xml.contains(expected), "{xml}");
    post(
        &client,
        &path,
        "Action=AddPermission&Label=l&AWSAccountId.1=111111111111&ActionName.1=SendMessage",
        200,
    );
    assert!(client.attribute(&self::url(), "Policy").contains("\"Sid\":\"l\""));
    post(&client, &path, "Action=TagQueue&Tag.1.Key=a&Tag.1.Value=1&Tag.2.Key=b&Tag.2.Value=2", 200);
    post(&client, &path, "Action=UntagQueue&TagKey.1=a", 200);
    let xml = post(&client, &path, "Action=ListQueueTags", 200);
    assert!(
        xml.contains("<ListQueueTagsResult><Tag><Key>b</Key><Value>2</Value></Tag></ListQueueTagsResult>"),
        "{xml}"
    );
    client.create("others", &json!({}));
    let xml = post(&client, "/", "Action=ListQueues&QueueNamePrefix=o&MaxResults=1", 200);
    assert_eq!(element(&xml, "QueueUrl"), self::url());
    let next = encoded(element(&xml, "NextToken"));
    let xml = post(
        &client,
        "/",
        &format!("Action=ListQueues&QueueNamePrefix=o&MaxResults=1&NextToken={next}"),
        200,
    );
    assert!(element(&xml, "QueueUrl").ends_with("/others"), "{xml}");
}

#[test]
fn a_get_has_its_parameters_in_the_query() {
    let server = start();
    let client = Client::of(&server);
    client.create("orders", &json!({}));
    let send = "Action=SendMessage&Version=2012-11-05&MessageBody=from+a%20browser";
    client
        .0
        .borrow_mut()
        .send(format!("GET /{ACCOUNT}/orders?{send} HTTP/1.1\r\nhost: queues.example\r\n\r\n"));
    assert_eq!(element(&read(&client, 200), "MD5OfMessageBody").len(), 32);
    let received = client.receive_all(&url(), 1);
    assert_eq!(received[0]["Body"], "from a browser");
    // JSON may be sent to a queue's path as well.
    client.send_to(&format!("/{ACCOUNT}/orders"), "ListQueues", &json!({}));
    assert_eq!(output("ListQueues", &client.answered())["QueueUrls"], json!([url()]));
}

#[test]
fn pages_of_others_send_no_forms_where_nobody_is_asked_for_a_signature() {
    let call = |origin: &str| format!("GET /?Action=ListQueues HTTP/1.1\r\nhost: x\r\n{origin}\r\n\r\n");
    let server = start();
    let client = Client::of(&server);
    for from in ["origin: https://evil.example", "sec-fetch-site: cross-site"] {
        client.0.borrow_mut().send(call(from));
        let xml = read(&client, 403);
        assert_eq!(element(&xml, "Code"), "AccessDenied");
        assert!(element(&xml, "Message").contains("http.allow_origin"), "{xml}");
    }
    let server = start_with(|config| config.http.allow_origin = Some("https://good.example".to_owned()));
    let client = Client::of(&server);
    client.0.borrow_mut().send(call("origin: https://good.example"));
    read(&client, 200);
}

#[test]
fn refusals_have_the_older_names_and_statuses() {
    let server = start();
    let client = Client::of(&server);
    client.create("orders", &json!({}));
    let check = |form: &str, status: u16, code: &str, part: &str| {
        let xml = post(&client, &format!("/{ACCOUNT}/orders"), form, status);
        assert!(
            xml.starts_with(&format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ErrorResponse xmlns=\"{NAMESPACE}\"><Error>"
            )),
            "{xml}"
        );
        assert_eq!((element(&xml, "Type"), element(&xml, "Code")), ("Sender", code));
        assert!(element(&xml, "Message").contains(part), "{xml}");
    };
    let none = encoded(&url().replace("orders", "none"));
    let wsdl = "The specified queue does not exist for this wsdl version.";
    check(
        &format!("Action=PurgeQueue&QueueUrl={none}"),
        400,
        "AWS.SimpleQueueService.NonExistentQueue",
        wsdl,
    );
    check("Action=GetQueueUrl&QueueName=none", 400, "AWS.SimpleQueueService.NonExistentQueue", wsdl);
    check(
        "Action=SendMessage",
        400,
        "MissingParameter",
        "The request must contain the parameter MessageBody.",
    );
    check("Action=ReceiveMessage&MaxNumberOfMessages=11", 400, "InvalidParameterValue", "Value 11");
    check(
        "Action=ReceiveMessage&MaxNumberOfMessages=x",
        400,
        "MalformedInput",
        "MaxNumberOfMessages must be a number",
    );
    check("Action=DeleteMessage&ReceiptHandle=%3Cx%3E", 400, "ReceiptHandleIsInvalid", "&lt;x&gt;");
    check(
        "Action=CreateQueue&QueueName=orders&Attribute.1.Name=DelaySeconds&Attribute.1.Value=9",
        400,
        "QueueAlreadyExists",
        "DelaySeconds",
    );
    post(&client, &format!("/{ACCOUNT}/orders"), "Action=PurgeQueue", 200);
    check("Action=PurgeQueue", 403, "AWS.SimpleQueueService.PurgeQueueInProgress", "every 60 seconds");
    let missing = format!("Action=ListMessageMoveTasks&SourceArn={}", super::arn("none"));
    check(&missing, 404, "ResourceNotFoundException", "SourceArn");
    check("Action=Nothing", 400, "InvalidAction", "The action Nothing is not valid for this endpoint.");
    check("Version=2012-11-05", 400, "InvalidAction", "The action  is not valid");
    check("Action=ListQueues&Version=2010-03-31", 400, "InvalidAction", "ListQueues is not valid");
    check("Action=%zz", 400, "MalformedInput", "percent sign");
}

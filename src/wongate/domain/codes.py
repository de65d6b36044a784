"""Response codes a Payco payment can meet, with their fixed wire messages (unified response codes, section 2.4.1)."""

SUCCESS = 0
CANCELLED = 301
ACCESS_DENIED = 303
NOT_ALLOWED_IN_PROJECT = 310
INTERNAL_ERROR = 501
VALIDATION_ERROR = 502
MALFORMED_REQUEST = 702
INVALID_JSON = 2003
FIELD_MISSING = 2004
INVALID_CUSTOMER_ID = 2124
LOCKED = 2147
CUSTOMER_ID_REQUIRED = 2154
INVALID_EMAIL = 2426
PROJECT_NOT_FOUND = 2442
UNKNOWN_METHOD = 2541
INVALID_BIRTHDAY = 2609
INVALID_COUNTRY = 2610
INVALID_CITY = 2611
AMOUNT_ABOVE_LIMIT = 2642
CURRENCY_DISABLED = 3023
INVALID_PAYMENT_ID = 3024
PAYMENT_ID_EXISTS = 3041
WRONG_STATUS = 3060
NOT_FOUND = 3061
DETAILS_NOT_RECEIVED = 3062
CHANNEL_CURRENCY = 3119
INVALID_CURRENCY = 3121
REFUND_ID_EXISTS = 3230
INVALID_SIGNATURE = 3261
EMPTY_SIGNATURE = 3262
REFUND_ABOVE_REMAINDER = 3283
REFUND_CURRENCY = 3284
REFUND_TOO_FREQUENT = 3285
AMOUNT_REQUIRED = 3286
CURRENCY_REQUIRED = 3287
MERCHANT_BLOCKED = 3299
AMOUNT_BELOW_LIMIT = 3358
FULL_AMOUNT_ONLY = 3609
REFUND_UNAVAILABLE = 3610
AWAITING = 9999
AWAITING_PROVIDER = 29999
GENERAL_DECLINE = 20000
CANCELLED_BY_PAYER = 20301
WRONG_AMOUNT_PAID = 20304
PROVIDER_SETTINGS = 20503
TIMED_OUT = 20602

MESSAGES = {
    0: "Success",
    100: "General decline",
    301: "Cancelled",
    303: "Access denied",
    309: "The amount received during conversion exceeds the limit",
    310: "This operation is not allowed by project settings",
    314: "Provider is not available now to perform the operation",
    319: "There is not enough data to create an operation",
    402: "RCS reject. Declined by Risk System",
    501: "Internal error",
    502: "Validation error",
    504: "Insufficient funds on the balance",
    601: "Try again",
    602: "Network error",
    603: "Auto decline",
    702: "Malformed request",
    903: "Exceeded allowed amount for refund",
    2003: "Invalid JSON string",
    2004: "Required field not provided",
    2124: "Invalid Customer ID",
    2147: "Lock Error",
    2154: "Customer ID is required for project",
    2261: "Country not found",
    2426: "Invalid Email",
    2442: "Project ID not found",
    2541: "Unknown Payment Method",
    2609: "Invalid day of birth",
    2610: "Invalid Country",
    2611: "Invalid City",
    2642: "Operation amount is greater than limit",
    2701: "Rules Failed Code",
    2945: "Invalid operation type for try again request",
    2949: "Invalid amount for try again request",
    3023: "Provided currency disabled for Project ID",
    3024: "Invalid Payment ID",
    3026: "Internal Decline",
    3028: "Insufficient funds on merchant balance",
    3041: "Payment ID already exists",
    3060: "Current payment or operation status does not allow this action",
    3061: "Transaction not found",
    3062: "Payment details not received",
    3081: "State Machine Flow Break",
    3119: "Request currency does not match channel currency",
    3121: "Invalid currency",
    3230: "The operation with such merchant_refund_id already exists",
    3261: "Invalid signature",
    3262: "Empty signature",
    3283: "Refund amount more than init amount",
    3284: "Refund currency mismatched or empty",
    3285: "Cannot make refund because of timeout block for repeat refund",
    3286: "The property amount is required",
    3287: "The property currency is required",
    3288: "Refund prohibited on disputed transaction",
    3299: "Sorry, the merchant status does not allow you to create an operation",
    3358: "Operation amount is less than limit",
    3609: "Operation amount must be equal to the initial amount",
    3610: "Refund unavailable for the current operation",
    3613: "Duplicate operation",
    9999: "Awaiting processing",
    29999: "Awaiting processing",
    20000: "General decline",
    20100: "Declined by external provider",
    20101: "Decline due to amount or frequency limit",
    20102: "Incorrect account data entered",
    20103: "Incorrect login or password",
    20104: "Password attempts entry exceeded",
    20105: "Insufficient funds on customer account",
    20106: "Customer account is no longer available",
    20107: "Customer account does not support requested currency",
    20201: "Restrictions for the customer account",
    20202: "PSP system is unavailable",
    20203: "Compromised customer account",
    20204: "Crediting this customer account is blocked",
    20205: "Payment method is not available for customer country",
    20301: "Account owner cancelled operation",
    20303: "Customer is not permitted to perform the action",
    20304: "Incorrect amount paid",
    20401: "Declined by PSP risk system",
    20402: "Suspicious operation",
    20501: "Refer to acquirer",
    20502: "Error during operation validation",
    20503: "Incorrect acquirer settings",
    20504: "Insufficient funds on acquirer balance",
    20601: "Try again",
    20602: "Time-out",
    20603: "Operation could not be authorized. Try again later",
    20604: "Notification is not delivered",
    20701: "Wrong requests sequence",
    20702: "Invalid request. Try again",
    20703: "Invoice not found",
    20705: "Merchant account is blocked",
    20706: "Operation not supported by provider",
    20801: "Payment provider approved but did not process the operation",
    20802: (
        "The payment provider did not confirm neither successful nor negative status of the payment transaction"
    ),
}


def message(code: int) -> str:
    """The fixed wire text of a code; an unlisted code reads as the general decline it stands for (E-42)."""
    return MESSAGES.get(code, MESSAGES[GENERAL_DECLINE])

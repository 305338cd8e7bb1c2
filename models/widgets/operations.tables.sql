-- The tables of the three systems; a part of operations.sql.

-- The inventory system ---------------------------------------------------------------

CREATE TABLE inventory.supplier (
    supplier_id int PRIMARY KEY,
    supplier_name text NOT NULL,
    supplier_address text,
    primary_contact_name text,
    primary_contact_phone text,
    secondary_contact_name text,
    secondary_contact_phone text,
    supplier_web_site text,
    supplier_introduction_date text,
    supplier_is_preferred boolean,
    supplier_is_active boolean,
    inserted_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE TABLE inventory.product (
    product_id int PRIMARY KEY,
    product_name text NOT NULL,
    product_description text,
    product_category text,
    product_brand text,
    product_preferred_supplier_id int,
    product_unit_cost numeric(10,2),
    product_unit_price numeric(10,2),
    product_dimension_length numeric(6,1),
    product_dimension_width numeric(6,1),
    product_dimension_height numeric(6,1),
    product_introduced_date text,
    product_discontinued boolean,
    product_no_longer_offered boolean,
    inserted_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE TABLE inventory.inventory (
    inventory_event_id int PRIMARY KEY,
    inventory_event_type text,
    inventory_product_id int NOT NULL,
    inventory_supplier_id int,
    inventory_warehouse_id int,
    inventory_quantity int,
    inventory_ship_address text,
    inventory_ship_customer_id int,
    inserted_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

-- The web shop -----------------------------------------------------------------------

CREATE TABLE ecommerce.customer (
    customer_id int PRIMARY KEY,
    customer_name text,
    customer_user_id text NOT NULL,
    customer_password text NOT NULL,
    customer_email text NOT NULL,
    customer_referral_type text,
    customer_sex text,
    customer_date_of_birth date,
    customer_loyalty_number int,
    customer_credit_card_number text,
    customer_is_preferred boolean,
    customer_is_active boolean,
    customer_inserted_at timestamp NOT NULL,
    customer_updated_at timestamp NOT NULL
);
CREATE TABLE ecommerce.customer_address (
    customer_address_id int PRIMARY KEY,
    customer_id int NOT NULL,
    customer_address varchar(255),
    customer_address_type text,
    inserted_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE TABLE ecommerce.loyalty_number (
    loyalty_number int PRIMARY KEY,
    customer_id int NOT NULL,
    issued date,
    tier text,
    inserted_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE TABLE ecommerce.customer_order (
    order_id int PRIMARY KEY,
    customer_id int NOT NULL,
    order_shipping_address_id int NOT NULL,
    order_special_instructions text,
    order_shipping_cost numeric(8,2),
    order_execution_time timestamp,
    order_cancelled boolean,
    inserted_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE TABLE ecommerce.order_line_item (
    order_line_item_id int PRIMARY KEY,
    order_id int NOT NULL,
    order_line_item_product_id int NOT NULL,
    order_line_item_quantity int NOT NULL,
    order_line_item_unit_price numeric(10,2) NOT NULL,
    order_line_item_total_price numeric(12,2) NOT NULL,
    order_line_comments text,
    inserted_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);

-- The stores -------------------------------------------------------------------------

CREATE TABLE in_store.store (
    store_id int PRIMARY KEY,
    store_name text NOT NULL,
    store_manager_name text,
    store_number_of_employees int,
    store_opened_date date,
    store_closed_date date,
    inserted_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE TABLE in_store.store_location (
    store_location_id int PRIMARY KEY,
    store_id int NOT NULL,
    street_address text,
    city text,
    state text,
    zip_code text,
    sq_footage int,
    inserted_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE TABLE in_store.store_sales (
    store_sales_id int PRIMARY KEY,
    store_id int NOT NULL,
    product_id int NOT NULL,
    quantity int NOT NULL,
    unit_price numeric(10,2) NOT NULL,
    total_price numeric(12,2) NOT NULL,
    transaction_type text,
    transaction_date date,
    cc_number text,
    loyalty_number int,
    inserted_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX ON in_store.store (updated_at);
CREATE INDEX ON in_store.store_location (updated_at);
CREATE INDEX ON in_store.store_sales (updated_at);
